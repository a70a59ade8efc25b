"""A queue that feeds a function, as Lambda's event source mapping would."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from plumbline.adapters.watchdog import Heart
from plumbline.errors import QueueUnavailable, TransientError
from plumbline.lambdas.runtime import Handler, logger
from plumbline.lambdas.sqs_event import event_of
from plumbline.local.context import LocalContext
from plumbline.local.function_status import StatusFile
from plumbline.ports import Queue, QueueMessage
from plumbline.topology import EventSource, Function

_log = logger("event_source")

# How long one long poll lasts; a stop waits for it.
_POLL_S = 2.0
_FIRST_RETRY_S = 0.2
_LONGEST_RETRY_S = 30.0


def retry_delay_s(receive_count: int) -> float:
    """Return how long a failed message stays invisible after its n-th receive.

    On Lambda it stays so for the rest of the visibility timeout; here the queue is told at once.
    """
    return float(min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 3 ** (min(receive_count, 10) - 1)))


class EventSourceThread(threading.Thread):
    """Receives batches and calls the function; deletes what it did not return as failed.

    While the function fails for want of a server, the batch stays in hand. A batch that it cannot
    bear is halved until the message is found.

    Args:
        source: What feeds what, and how.
        max_receive_count: Of the queue.
        function: The function.
        handler: Its handler.
        queue: For this thread alone.
        release: Gives back what this thread, or the one before it that was killed, received and
            did not delete.
        status: Records the invocations.
        heart: Beats at each of them, and at each poll.
        stop: Set to end the thread.
    """

    def __init__(  # noqa: PLR0913 - one thread's whole world
        self,
        *,
        source: EventSource,
        max_receive_count: int,
        function: Function,
        handler: Handler,
        queue: Queue,
        release: Callable[[], None],
        status: StatusFile,
        heart: Heart,
        stop: threading.Event,
    ) -> None:
        super().__init__(name=f"event-source-{source.queue}")
        self._source = source
        self._max_receive_count = max_receive_count
        self._function = function
        self._handler = handler
        self._queue = queue
        self._release = release
        self._status = status
        self._heart = heart
        self._stop_requested = stop

    def run(self) -> None:
        """Poll until the stop is requested; a batch under way is finished."""
        unavailable = 0
        released = False
        while not self._stop_requested.is_set():
            self._heart.beat()
            try:
                if not released:
                    self._release()
                    released = True
                messages = self._receive()
                if messages:
                    self._work_off(messages)
            except QueueUnavailable as error:
                unavailable += 1
                released = False
                if unavailable == 1:
                    _log.warning("queue_unavailable", queue=self._queue.name, error=str(error))
                self._stop_requested.wait(retry_delay_s(min(unavailable, 5)))
            else:
                if unavailable:
                    _log.info("queue_available", queue=self._queue.name)
                unavailable = 0
        self._heart.rest()
        self._status.write()

    def _receive(self) -> list[QueueMessage]:
        source = self._source
        messages = self._queue.receive(source.local_batch_size, wait_s=_POLL_S)
        closes = time.monotonic() + source.local_window_s
        while messages and len(messages) < source.local_batch_size:
            left_s = closes - time.monotonic()
            if left_s <= 0 or self._stop_requested.is_set():
                break
            messages += self._queue.receive(source.local_batch_size - len(messages), wait_s=left_s)
        return messages

    def _work_off(self, messages: Sequence[QueueMessage]) -> None:
        failed = self._process(messages)
        if failed is None:
            self._queue.change_visibility([message.receipt_handle for message in messages], 0)
            return
        done = [message for message in messages if message.message_id not in failed]
        expired = self._queue.delete([message.receipt_handle for message in done])
        if expired:
            _log.warning("visibility_timeout_passed", queue=self._queue.name, messages=len(expired))
        if failed:
            self._return([message for message in messages if message.message_id in failed])

    def _process(self, messages: Sequence[QueueMessage]) -> set[str] | None:
        """Return the ids of the messages that failed, or None where a stop left all undone."""
        try:
            response = self._invoke_until_available(messages)
        except QueueUnavailable:
            raise  # our own queue's, while the batch waited
        except Exception:  # noqa: BLE001 - the function's boundary, as Lambda's is
            _log.exception("invocation_failed", function=self._function.name)
            if len(messages) == 1:
                return {messages[0].message_id}
        else:
            if response is None:
                return None
            return {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        # One message that the function cannot bear must not take its neighbours with it.
        middle = len(messages) // 2
        first = self._process(messages[:middle])
        if first is None:
            return None
        groups = {m.group_id for m in messages[:middle] if m.message_id in first} - {None}
        behind = {m.message_id for m in messages[middle:] if m.group_id in groups}
        others = [m for m in messages[middle:] if m.message_id not in behind]
        second = self._process(others) if others else set()
        return None if second is None else first | behind | second

    def _invoke_until_available(self, messages: Sequence[QueueMessage]) -> dict[str, Any] | None:
        """Invoke the function, again and again while what it needs is away.

        The batch stays in hand meanwhile: a failure that passes must not use up the receives of
        messages that are well, and nothing can overtake them. Returns None at a stop.
        """
        event = event_of(messages, self._queue.name)
        handles = [message.receipt_handle for message in messages]
        for attempt in itertools.count(1):
            started = datetime.now(UTC)
            self._heart.beat()
            context = LocalContext(self._function, threading.Event())
            try:
                response = self._handler(event, context)
            except TransientError as error:
                self._status.ended(started, error)
                if attempt == 1:
                    _log.warning("invocation_waits", function=self._function.name, error=str(error))
                delay_s = retry_delay_s(attempt)
                self._queue.change_visibility(handles, 2 * _LONGEST_RETRY_S)
                if self._stop_requested.wait(delay_s):
                    return None
            except Exception as error:
                self._status.ended(started, error)
                raise
            else:
                self._status.ended(started)
                return response
        raise AssertionError  # the attempts do not end

    def _return(self, messages: Sequence[QueueMessage]) -> None:
        by_count: dict[int, list[str]] = {}
        for message in messages:
            by_count.setdefault(message.receive_count, []).append(message.receipt_handle)
        for receive_count, handles in by_count.items():
            # After the last receive there is nothing to wait for: the dead-letter queue is next.
            last = receive_count >= self._max_receive_count
            self._queue.change_visibility(handles, 0 if last else retry_delay_s(receive_count))
