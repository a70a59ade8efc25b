"""What every implementation of ports.Queue does: the fake, PostgreSQL's, SQS's.

SQS is an emulator here. What it cannot show, and where it is shown instead:

====================================== =====================================================
not on the emulator                    shown by
====================================== =====================================================
an id is forgotten after five minutes  the fake and PostgreSQL here, by moving time
entries of a request that fail         ``tests/unit/test_sqs_queue.py``, with scripted answers
throttling, errors of whole requests   the same file
redrive by an operator                 the fake and PostgreSQL here; on AWS it is SQS's own
an expired handle of a FIFO queue      the fake and PostgreSQL here, SQS's refusal in that file
an expired handle of a standard queue  nothing: SQS may delete by it, PostgreSQL does not
its counts are approximate             nothing: ``depth`` is compared when all is at rest
====================================== =====================================================
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from contract.queue_backends import (
    MAX_RECEIVES,
    Backend,
    MemoryBackend,
    PostgresBackend,
    SqsBackend,
    closing,
    receive_all,
)
from plumbline.ports import OutgoingMessage, Queue, QueueMessage

ALL = ("memory", "postgres", "postgres in blocks", "sqs")
MOVABLE_TIME = ("memory", "postgres", "postgres in blocks")


@pytest.fixture(params=ALL)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Yield each implementation in turn; a missing server or emulator is a failure."""
    made: Backend
    match request.param:
        case "memory":
            made = MemoryBackend()
        case "postgres":
            made = PostgresBackend(request.getfixturevalue("database_url"))
        case "postgres in blocks":
            made = PostgresBackend(request.getfixturevalue("database_url"), block_from=1)
        case _:
            made = SqsBackend(request.getfixturevalue("sqs_endpoint_url"))
    with closing(made):
        yield made


only_movable_time = pytest.mark.parametrize("backend", MOVABLE_TIME, indirect=True)


def message(group: str, body: str, deduplication_id: str | None = None) -> OutgoingMessage:
    """Make a FIFO message, by default with a deduplication id of its own."""
    return OutgoingMessage(body, {}, group, deduplication_id or f"{group}-{body}")


def bodies(messages: list[QueueMessage]) -> list[str]:
    return [m.body for m in messages]


def handles(messages: list[QueueMessage]) -> list[str]:
    return [m.receipt_handle for m in messages]


# --- order and groups -----------------------------------------------------------------------


def test_messages_of_a_group_come_in_the_order_of_sending(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    for batch in range(4):
        assert queue.send([message("A", f"{batch}.{n}") for n in range(7)]) == []
    assert receive_all(queue, 28, limit=5) == [f"{b}.{n}" for b in range(4) for n in range(7)]


def test_a_group_in_flight_is_blocked_and_others_go_on(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message("A", "a1"), message("A", "a2"), message("B", "b1")])
    (first,) = queue.receive(1)
    assert first.body == "a1"
    others = queue.receive(10)
    assert bodies(others) == ["b1"]
    assert queue.receive(10) == []
    assert queue.delete([first.receipt_handle]) == []
    assert bodies(queue.receive(10)) == ["a2"]


def test_a_message_made_visible_again_stays_before_its_successors(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message("A", body) for body in ("1", "2", "3")])
    received = queue.receive(2)
    assert bodies(received) == ["1", "2"]
    queue.change_visibility(handles(received), 0)
    assert receive_all(queue, 3) == ["1", "2", "3"]


def test_a_standard_queue_delivers_everything(backend: Backend) -> None:
    queue = backend.pair(fifo=False).queue
    assert queue.send([OutgoingMessage(str(n)) for n in range(25)]) == []
    assert sorted(map(int, receive_all(queue, 25))) == list(range(25))
    assert queue.receive(10) == []


def test_a_large_batch_arrives_whole_and_in_order(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    count = backend.large_batch
    sent = [message(f"g{n % 100}", str(n)) for n in range(count)]
    assert queue.send(sent) == []
    received = [int(body) for body in receive_all(queue, count, limit=count)]
    by_group: dict[int, list[int]] = defaultdict(list)
    for number in received:
        by_group[number % 100].append(number)
    assert sorted(received) == list(range(count))
    assert all(numbers == sorted(numbers) for numbers in by_group.values())


# --- deduplication --------------------------------------------------------------------------


def test_a_repetition_is_accepted_and_not_stored(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    first, second = message("A", "first", "x"), message("A", "second", "y")
    assert queue.send([first, second, message("A", "not stored", "x")]) == []
    assert queue.send([second, message("A", "third", "z"), first]) == []
    assert receive_all(queue, 3) == ["first", "second", "third"]
    assert queue.receive(10) == []


def test_a_deduplication_id_outlives_its_message(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message("A", "once", "x")])
    assert receive_all(queue, 1) == ["once"]
    assert queue.send([message("A", "once", "x")]) == []
    assert queue.receive(10) == []


@only_movable_time
def test_a_deduplication_id_is_forgotten_after_five_minutes(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message("A", "first", "x")])
    backend.pass_time(299)
    queue.send([message("A", "too early", "x")])
    backend.pass_time(2)
    queue.send([message("A", "second", "x")])
    queue.send([message("A", "third", "x")])
    assert receive_all(queue, 2) == ["first", "second"]
    assert queue.receive(10) == []


def test_equal_bodies_with_different_ids_both_arrive(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message("A", "reboot", "x"), message("A", "reboot", "y")])
    assert receive_all(queue, 2) == ["reboot", "reboot"]


# --- visibility -----------------------------------------------------------------------------


def test_a_message_comes_again_after_its_timeout(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([OutgoingMessage("one", {"type": "reading"}, "A", "x")])
    (first,) = queue.receive(10, visibility_s=1)
    assert queue.receive(10) == []
    backend.pass_time(1)
    (second,) = queue.receive(10)
    assert (first.receive_count, second.receive_count) == (1, 2)
    assert second.message_id == first.message_id
    assert second.receipt_handle != first.receipt_handle
    assert (second.body, second.attributes) == ("one", {"type": "reading"})
    assert (second.group_id, second.deduplication_id) == ("A", "x")
    assert second.sent_at == first.sent_at <= first.first_received_at
    assert second.first_received_at <= first.first_received_at  # PostgreSQL's time was moved
    assert second.sequence_number == first.sequence_number


def test_visibility_changes_only_for_the_messages_named(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message(group, group) for group in "ABC"])
    received = queue.receive(10)
    queue.change_visibility([m.receipt_handle for m in received if m.body == "B"], 0)
    (again,) = queue.receive(10)
    assert (again.body, again.receive_count) == ("B", 2)
    rest = [m.receipt_handle for m in received if m.body != "B"]
    assert queue.delete(rest) == []
    assert queue.delete([again.receipt_handle]) == []
    assert queue.receive(10) == []


def test_a_handle_stays_good_when_its_visibility_changes(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message(group, group) for group in "ABC"])
    received = queue.receive(3, visibility_s=1)
    queue.change_visibility(handles(received)[:2], 20)
    queue.change_visibility(handles(received)[1:], 30)
    backend.pass_time(1)
    assert queue.receive(3) == []
    assert queue.delete(handles(received)) == []
    assert (queue.depth().visible, queue.depth().in_flight) == (0, 0)


def test_visibility_can_be_extended(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message("A", "one")])
    (first,) = queue.receive(1, visibility_s=1)
    queue.change_visibility([first.receipt_handle], 3)
    backend.pass_time(1)
    assert queue.receive(1) == []
    backend.pass_time(2)
    assert bodies(queue.receive(1)) == ["one"]


@only_movable_time
def test_the_handle_of_an_ended_receive_deletes_nothing(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message("A", "one")])
    (first,) = queue.receive(1, visibility_s=1)
    backend.pass_time(1)
    assert queue.delete([first.receipt_handle]) == [first.receipt_handle]
    (second,) = queue.receive(1)
    assert queue.delete([first.receipt_handle]) == [first.receipt_handle]
    assert queue.delete([second.receipt_handle]) == []


def test_what_is_not_deleted_of_a_batch_comes_again_in_order(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message("A", str(n)) for n in range(9)])
    received = queue.receive(9, visibility_s=1)
    done = [m.receipt_handle for m in received if int(m.body) % 3]
    assert queue.delete(done) == []
    assert queue.receive(9) == []
    backend.pass_time(1)
    assert receive_all(queue, 3) == ["0", "3", "6"]
    assert queue.receive(9) == []


@pytest.mark.parametrize("backend", ["sqs"], indirect=True)
def test_the_emulator_still_deletes_by_an_expired_handle(backend: Backend) -> None:
    """SQS does not. Once this fails, the test of ended receives can run on the emulator too."""
    queue = backend.pair(fifo=True).queue
    queue.send([message("A", "one")])
    (first,) = queue.receive(1, visibility_s=1)
    backend.pass_time(1)
    assert queue.delete([first.receipt_handle]) == []


# --- dead letters ---------------------------------------------------------------------------


def exhaust(queue: Queue, count: int) -> None:
    """Receive ``count`` messages as often as they may be, without deleting."""
    for n in range(MAX_RECEIVES):
        messages = queue.receive(10)
        assert [m.receive_count for m in messages] == [n + 1] * count
        queue.change_visibility(handles(messages), 0)
    assert queue.receive(10) == []


@pytest.mark.parametrize("fifo", [True, False])
def test_after_its_receives_a_message_is_a_dead_letter(backend: Backend, *, fifo: bool) -> None:
    pair = backend.pair(fifo=fifo)
    attributes = {"type": "reading", "delivery": "0189"}
    pair.queue.send([OutgoingMessage("poison", attributes, "A", "x")])
    exhaust(pair.queue, 1)
    (dead,) = pair.dead_letters.receive(10, wait_s=2)
    assert (dead.body, dead.attributes) == ("poison", attributes)
    assert dead.group_id == ("A" if fifo else None)
    assert pair.queue.depth().visible == 0


def test_a_dead_letter_frees_its_group(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message("A", "poison")])
    exhaust(queue, 1)
    queue.send([message("A", "next")])
    assert receive_all(queue, 1) == ["next"]


@only_movable_time
def test_redrive_brings_messages_back_in_order_and_as_new(backend: Backend) -> None:
    pair = backend.pair(fifo=True)
    admin = backend.admin(pair)
    pair.queue.send([message("A", str(n)) for n in range(4)])
    exhaust(pair.queue, 4)
    peeked = admin.peek(pair.dead_letters.name, 3)
    assert bodies(peeked) == ["0", "1", "2"]
    assert admin.redrive(pair.dead_letters.name, message_ids=[peeked[1].message_id]) == 1
    assert admin.redrive(pair.dead_letters.name) == 3
    again = pair.queue.receive(10)
    assert bodies(again) == ["1", "0", "2", "3"]
    assert {m.receive_count for m in again} == {1}
    assert again[0].message_id == peeked[1].message_id
    assert admin.peek(pair.dead_letters.name, 10) == []


@only_movable_time
def test_purge_deletes_the_named_messages_or_all(backend: Backend) -> None:
    pair = backend.pair(fifo=True)
    admin = backend.admin(pair)
    pair.queue.send([message("A", str(n)) for n in range(4)])
    exhaust(pair.queue, 4)
    named = [m.message_id for m in admin.peek(pair.dead_letters.name, 1)]
    assert admin.purge(pair.dead_letters.name, message_ids=named) == 1
    assert bodies(admin.peek(pair.dead_letters.name, 10)) == ["1", "2", "3"]
    assert admin.purge(pair.dead_letters.name) == 3
    assert admin.peek(pair.dead_letters.name, 10) == []


# --- waiting --------------------------------------------------------------------------------


def in_thread(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target)
    thread.start()
    return thread


def test_a_waiting_consumer_wakes_when_a_message_is_sent(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    producer = backend.consumer(queue)
    sent_s: list[float] = []

    def send_later() -> None:
        time.sleep(1)  # the consumer shall wait by then; if it did not, the test is easier
        sent_s.append(time.monotonic())
        producer.send([message("A", "one")])

    thread = in_thread(send_later)
    received = queue.receive(1, wait_s=10)
    delay_s = time.monotonic() - sent_s[0]
    thread.join()
    assert bodies(received) == ["one"]
    assert delay_s < 0.5


def test_a_waiting_consumer_wakes_when_its_group_is_free(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    other = backend.consumer(queue)
    queue.send([message("A", "1"), message("A", "2")])
    (first,) = other.receive(1)
    deleted_s: list[float] = []

    def delete_later() -> None:
        time.sleep(1)  # as above
        deleted_s.append(time.monotonic())
        other.delete([first.receipt_handle])

    thread = in_thread(delete_later)
    received = queue.receive(1, wait_s=10)
    delay_s = time.monotonic() - deleted_s[0]
    thread.join()
    assert bodies(received) == ["2"]
    assert delay_s < 1.5  # the emulator looks once a second


@pytest.mark.parametrize("backend", ["postgres", "postgres in blocks", "sqs"], indirect=True)
def test_a_waiting_consumer_wakes_when_a_timeout_ends(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.send([message("A", "one")])
    queue.receive(1, visibility_s=1)
    started_s = time.monotonic()
    received = queue.receive(1, wait_s=10)
    assert bodies(received) == ["one"]
    assert 0.8 < time.monotonic() - started_s < 2.5


def test_an_idle_consumer_waits_its_time_and_costs_nothing(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    queue.receive(1)
    started_s, cpu_s = time.monotonic(), time.process_time()
    assert queue.receive(1, wait_s=2) == []
    assert 1.9 < time.monotonic() - started_s < 3
    assert time.process_time() - cpu_s < 0.1


# --- contents -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    ["Größe 5 °C ±0,1 µm", "日本語 \U0001f4d0", "quotes ' \" \\ {} %s", "tab\tline\nreturn\r"],
)
def test_text_of_any_kind_arrives_unchanged(backend: Backend, body: str) -> None:
    queue = backend.pair(fifo=True).queue
    attributes = {"note": body.replace("\r", " ")}
    assert queue.send([OutgoingMessage(body, attributes, "A", "x")]) == []
    (received,) = queue.receive(1)
    assert (received.body, received.attributes) == (body, attributes)


def test_large_bodies_arrive_whole(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    sent = [message("A", f"{n}" * 200_000, str(n)) for n in range(4)]
    assert queue.send(sent) == []
    assert receive_all(queue, 4) == [m.body for m in sent]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("a NUL \0", "InvalidMessageContents"),
        ("a lone surrogate \ud800", "InvalidMessageContents"),
        ("ä" * 140_000, "InvalidParameterValue"),
        ("", "MissingParameter"),
    ],
)
def test_a_message_that_is_refused_holds_back_its_group_only(
    backend: Backend, bad: str, code: str
) -> None:
    queue = backend.pair(fifo=True).queue
    failures = queue.send(
        [message("A", "a1"), message("A", bad, "bad"), message("B", "b1"), message("A", "a3")]
    )
    assert [(f.index, f.code, f.sender_fault) for f in failures] == [
        (1, code, True),
        (3, "Held", False),
    ]
    assert sorted(receive_all(queue, 2)) == ["a1", "b1"]
    assert queue.receive(10) == []


def test_depth_counts_what_waits_and_what_is_in_flight(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    assert (queue.depth().visible, queue.depth().in_flight) == (0, 0)
    queue.send([message(f"g{n}", str(n)) for n in range(5)])
    received = queue.receive(2)
    assert (queue.depth().visible, queue.depth().in_flight) == (3, 2)
    queue.delete(handles(received)[:1])
    queue.change_visibility(handles(received)[1:], 0)
    assert (queue.depth().visible, queue.depth().in_flight) == (4, 0)


# --- several consumers ----------------------------------------------------------------------


def test_concurrent_consumers_share_without_breaking_a_group(backend: Backend) -> None:
    queue = backend.pair(fifo=True).queue
    groups, each = 8, 25
    queue.send([message(f"g{g}", f"{g}.{n}") for n in range(each) for g in range(groups)])
    in_flight: dict[str, int] = {}
    seen: defaultdict[str, list[int]] = defaultdict(list)
    mutex = threading.Lock()

    def consume(consumer: Queue) -> None:
        while received := consumer.receive(3, wait_s=1):
            me = threading.get_ident()
            with mutex:
                for m in received:
                    group, _, number = m.body.partition(".")
                    assert in_flight.setdefault(group, me) == me, "a group at two consumers"
                    seen[group].append(int(number))
            with mutex:
                for m in received:
                    in_flight.pop(m.body.partition(".")[0], None)
                assert consumer.delete(handles(received)) == []

    with ThreadPoolExecutor(4) as pool:
        consumers = [backend.consumer(queue) for _ in range(4)]
        for future in [pool.submit(consume, consumer) for consumer in consumers]:
            future.result()
    assert seen == {str(g): list(range(each)) for g in range(groups)}
