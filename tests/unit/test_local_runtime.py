"""Schedules and event sources of the local runtime, with a function and a queue in memory."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fake_broker import queue_messages
from plumbline.adapters.watchdog import Heart
from plumbline.errors import QueueUnavailable, StoreUnavailable
from plumbline.lambdas.runtime import Context, Handler
from plumbline.lambdas.sqs_event import event_of, messages_of
from plumbline.local.context import LocalContext
from plumbline.local.event_source import EventSourceThread, retry_delay_s
from plumbline.local.function_status import StatusFile, read_all
from plumbline.local.schedule import ScheduleThread
from plumbline.ports import OutgoingMessage, QueueDepth, QueueMessage, SendFailure
from plumbline.topology import TOPOLOGY, EventSource, Schedule

SOURCE = EventSource(
    "q", "db1", 10, 0, 1, local_batch_size=4, local_window_s=0, local_concurrency=1
)
FUNCTION = TOPOLOGY.function("db1")


class OneBatchQueue:
    """Hands over one batch, then nothing; records what is done with it."""

    name = "q"
    fifo = False

    def __init__(self, stop: threading.Event, batch: list[QueueMessage]) -> None:
        self._stop = stop
        self._batches = [batch]
        self.deleted: list[str] = []
        self.returned: dict[str, float] = {}
        self.failures = 0
        self.down_with_the_store = False
        self.released = 0

    def release(self) -> None:
        self.released += 1

    def receive(
        self, max_messages: int, *, wait_s: float = 0.0, visibility_s: float | None = None
    ) -> list[QueueMessage]:
        del max_messages, wait_s, visibility_s
        if self.failures:
            self.failures -= 1
            msg = "down"
            raise QueueUnavailable(msg)
        if self._batches:
            return self._batches.pop()
        self._stop.set()
        return []

    def delete(self, receipt_handles: Sequence[str]) -> list[str]:
        self.deleted += receipt_handles
        return []

    def change_visibility(self, receipt_handles: Sequence[str], visibility_s: float) -> None:
        if self.down_with_the_store:
            msg = "down"
            raise QueueUnavailable(msg)
        self.returned |= dict.fromkeys(receipt_handles, visibility_s)

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        raise NotImplementedError

    def depth(self) -> QueueDepth:
        raise NotImplementedError


def batch(groups: str) -> list[QueueMessage]:
    return queue_messages(
        OutgoingMessage(f"body {n}", {"type": "reading"}, group_id=None if group == "-" else group)
        for n, group in enumerate(groups)
    )


def run(  # noqa: PLR0913 - one argument a circumstance
    handler: Handler,
    directory: Path,
    *,
    failures: int = 0,
    groups: str = "---",
    stop: threading.Event | None = None,
    down_with_the_store: bool = False,
) -> OneBatchQueue:
    stop = stop or threading.Event()
    queue = OneBatchQueue(stop, batch(groups))
    queue.failures = failures
    queue.down_with_the_store = down_with_the_store
    status = StatusFile(directory, "db1")
    thread = EventSourceThread(
        source=SOURCE,
        max_receive_count=5,
        function=FUNCTION,
        handler=handler,
        queue=queue,
        release=queue.release,
        status=status,
        heart=Heart("db1", 100),
        stop=stop,
    )
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()
    return queue


def answering(*failed: str) -> Handler:
    def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
        del event, context
        return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}

    return handler


def test_what_the_function_did_not_return_is_deleted(tmp_path: Path) -> None:
    queue = run(answering("m1"), tmp_path)
    assert queue.deleted == ["r0", "r2"]
    assert queue.returned == {"r1": retry_delay_s(1)}


def test_a_batch_stays_in_hand_while_what_the_function_needs_is_away(tmp_path: Path) -> None:
    """Its messages are well: waiting must not use up their receives."""
    failures = iter([StoreUnavailable("down"), StoreUnavailable("down"), None])

    def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
        del event, context
        failure = next(failures)
        if failure is not None:
            raise failure
        return {"batchItemFailures": []}

    queue = run(handler, tmp_path)
    assert queue.deleted == ["r0", "r1", "r2"]
    assert min(queue.returned.values()) > 30, "it must not become visible meanwhile"
    [status] = read_all(tmp_path)
    assert (status.invocations, status.errors) == (3, 2)
    assert status.last_error == "StoreUnavailable: down"


def test_a_queue_that_goes_down_meanwhile_is_no_mistake_of_the_function(tmp_path: Path) -> None:
    def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
        assert len(event["Records"]) == 3
        del context
        msg = "down"
        raise StoreUnavailable(msg)

    queue = run(handler, tmp_path, down_with_the_store=True)
    assert queue.deleted == []
    assert queue.released == 2


def test_a_stop_returns_a_batch_that_waits(tmp_path: Path) -> None:
    stop = threading.Event()

    def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
        del event, context
        stop.set()
        msg = "down"
        raise StoreUnavailable(msg)

    queue = run(handler, tmp_path, stop=stop)
    assert queue.deleted == []
    assert queue.returned == dict.fromkeys(["r0", "r1", "r2"], 0)


@pytest.mark.parametrize("poison", [0, 1, 2])
def test_a_message_that_the_function_cannot_bear_fails_alone(tmp_path: Path, poison: int) -> None:
    def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
        del context
        if any(record["messageId"] == f"m{poison}" for record in event["Records"]):
            msg = "a mistake of ours"
            raise ZeroDivisionError(msg)
        return {"batchItemFailures": []}

    queue = run(handler, tmp_path)
    assert queue.deleted == [f"r{n}" for n in range(3) if n != poison]
    assert list(queue.returned) == [f"r{poison}"]


def test_what_follows_such_a_message_in_its_group_waits_for_it(tmp_path: Path) -> None:
    def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
        del context
        assert all(record["messageId"] != "m0" for record in event["Records"])
        return {"batchItemFailures": []}

    queue = run(handler, tmp_path, groups="aba")
    assert queue.deleted == ["r1"]
    assert set(queue.returned) == {"r0", "r2"}


def test_the_event_is_the_one_that_lambda_makes(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []

    def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
        assert context.get_remaining_time_in_millis() > 0
        events.append(event)
        return {"batchItemFailures": []}

    run(handler, tmp_path)
    [event] = events
    record = event["Records"][0]
    assert (record["messageId"], record["body"], record["eventSource"]) == (
        "m0",
        "body 0",
        "aws:sqs",
    )
    assert record["messageAttributes"] == {"type": {"stringValue": "reading", "dataType": "String"}}
    assert record["attributes"]["ApproximateReceiveCount"] == "1"


def test_the_records_of_the_event_say_what_the_messages_say() -> None:
    """Our handlers take the messages from it as they are; any other reads them as SQS records."""
    messages = batch("-a")
    event = event_of(messages, "q")
    records = event["Records"]
    assert messages_of(event) == messages
    assert messages_of({"Records": list(records)}) == messages
    assert messages_of({"Records": records[1:]}) == messages[1:]
    assert len(records) == 2


def test_a_queue_that_is_down_is_asked_again(tmp_path: Path) -> None:
    queue = run(answering(), tmp_path, failures=1)
    assert queue.deleted == ["r0", "r1", "r2"]
    assert queue.released == 2, "what was received before it went down must come first"


def test_retries_back_off_and_stay_below_half_a_minute() -> None:
    delays = [retry_delay_s(count) for count in range(1, 8)]
    assert delays == sorted(delays)
    assert delays[0] == pytest.approx(0.2)
    assert delays[-1] == 30.0


def run_schedule(handler: Callable[[], None], directory: Path, stop: threading.Event) -> None:
    def lambda_handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
        del event, context
        handler()
        return {}

    schedule = Schedule("sync", "sync", period_s=300, local_period_s=0.01, max_retries=2)
    thread = ScheduleThread(
        schedule=schedule,
        function=TOPOLOGY.function("sync"),
        handler=lambda_handler,
        period_s=0.01,
        status=StatusFile(directory, "sync"),
        heart=Heart("sync", 100),
        stop=stop,
        first_retry_s=0.01,
    )
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_the_threads_of_a_function_have_one_status(tmp_path: Path) -> None:
    status = StatusFile(tmp_path, "db1")

    def fail() -> None:
        for _ in range(200):
            status.ended(datetime.now(UTC), ValueError("x"))

    with ThreadPoolExecutor(4) as pool:
        for failing in [pool.submit(fail) for _ in range(4)]:
            failing.result()
    [found] = read_all(tmp_path)
    assert (found.invocations, found.errors) == (800, 800)


def test_p5_2_a_failed_run_is_retried_up_to_its_limit(tmp_path: Path) -> None:
    stop = threading.Event()
    attempts = 0

    def handler() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 3:
            stop.set()
        msg = "down"
        raise StoreUnavailable(msg)

    run_schedule(handler, tmp_path, stop)
    [status] = read_all(tmp_path)
    assert (attempts, status.errors) == (3, 3)


def test_a_run_that_succeeds_is_not_retried_and_comes_again(tmp_path: Path) -> None:
    stop = threading.Event()
    runs = 0

    def handler() -> None:
        nonlocal runs
        runs += 1
        if runs == 5:
            stop.set()

    run_schedule(handler, tmp_path, stop)
    [status] = read_all(tmp_path)
    assert (runs, status.invocations, status.errors) == (5, 5, 0)


def test_a_stop_leaves_a_run_no_time() -> None:
    stop = threading.Event()
    context = LocalContext(FUNCTION, stop)
    assert context.get_remaining_time_in_millis() > 100_000
    stop.set()
    assert context.get_remaining_time_in_millis() == 0


def test_a_run_that_fails_before_its_metrics_writes_nothing_but_lines_of_json() -> None:
    program = (
        "from plumbline.lambdas.runtime import metrics\n"
        "measured = metrics('db1')\n"
        "@measured.log_metrics\n"
        "def handler(event, context):\n"
        "    raise ValueError\n"
        "try:\n"
        "    handler({}, None)\n"
        "except ValueError:\n"
        "    pass\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
