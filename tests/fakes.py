"""Fakes of the ports, held against the real adapters by the contract suites."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from msgspec import structs

from plumbline.adapters.clock import SystemClock
from plumbline.adapters.sending import screen
from plumbline.errors import NotFound
from plumbline.ports import Clock, OutgoingMessage, QueueDepth, QueueMessage, SendFailure

_DEDUPLICATION = timedelta(minutes=5)


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        """Return the time it stands at."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move it forward."""
        self._now += timedelta(seconds=seconds)


@dataclass(slots=True)
class _Stored:
    """A message in a MemoryQueue; in flight until ``visible_at`` under ``receipt``."""

    message_id: str
    sequence: int
    outgoing: OutgoingMessage
    sent_at: datetime
    visible_at: datetime
    first_received_at: datetime | None = None
    receive_count: int = 0
    receipt: str | None = None


class MemoryQueue:
    """A queue with SQS semantics in this process; may be used by several threads.

    Args:
        name: For messages to people.
        fifo: Whether groups have an order.
        clock: Decides about visibility and deduplication; long polls wait in real time.
        visibility_timeout_s: Where ``receive`` is given none.
        max_receive_count: Receives after which a message goes to ``dead_letters``.
        dead_letters: Where it goes.
        new_id: Makes the ids of messages and receipts.
    """

    def __init__(  # noqa: PLR0913 - what a queue is made of
        self,
        name: str,
        *,
        fifo: bool,
        clock: Clock | None = None,
        visibility_timeout_s: float = 30.0,
        max_receive_count: int | None = None,
        dead_letters: "MemoryQueue | None" = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self.name = name
        self.fifo = fifo
        self.dead_letters = dead_letters
        self._clock = clock or SystemClock()
        self._new_id = new_id
        self._visibility_timeout_s = visibility_timeout_s
        self._max_receive_count = max_receive_count
        self._messages: list[_Stored] = []
        self._deduplication: dict[str, datetime] = {}
        self._sequence = 0
        self._changed = threading.Condition()

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        """Send in order; see ports.Queue."""
        accepted, failures = screen(messages, fifo=self.fifo)
        with self._changed:
            now = self._clock.now()
            for index in accepted:
                message = messages[index]
                if self.fifo and not self._is_fresh(str(message.deduplication_id), now):
                    continue
                if not self.fifo:
                    message = OutgoingMessage(message.body, message.attributes)
                self._append(_Stored(self._new_id(), 0, message, sent_at=now, visible_at=now))
            self._changed.notify_all()
        return failures

    def receive(
        self, max_messages: int, *, wait_s: float = 0.0, visibility_s: float | None = None
    ) -> list[QueueMessage]:
        """Receive, waiting for a change or the end of a timeout; see ports.Queue."""
        deadline_s = time.monotonic() + wait_s
        timeout_s = self._visibility_timeout_s if visibility_s is None else visibility_s
        with self._changed:
            while True:
                messages = self._pick(max_messages, timeout_s)
                left_s = deadline_s - time.monotonic()
                if messages or left_s <= 0:
                    return messages
                self._changed.wait(min([left_s, *self._timeouts_s()]))

    def delete(self, receipt_handles: Sequence[str]) -> list[str]:
        """Delete received messages and return the expired handles; see ports.Queue."""
        with self._changed:
            held = self._held(receipt_handles)
            self._messages = [m for m in self._messages if m.receipt not in held]
            self._changed.notify_all()
            return [handle for handle in receipt_handles if handle not in held]

    def change_visibility(self, receipt_handles: Sequence[str], visibility_s: float) -> None:
        """Give received messages another visibility timeout; expired handles change nothing."""
        with self._changed:
            for message in self._held(receipt_handles).values():
                message.visible_at = self._clock.now() + timedelta(seconds=visibility_s)
            self._changed.notify_all()

    def depth(self) -> QueueDepth:
        """Return the exact counts; see ports.Queue."""
        with self._changed:
            now = self._clock.now()
            in_flight = sum(self._in_flight(message) for message in self._messages)
            ages = [(now - message.sent_at).total_seconds() for message in self._messages[:1]]
            return QueueDepth(len(self._messages) - in_flight, in_flight, ages[0] if ages else None)

    def _is_fresh(self, deduplication_id: str, now: datetime) -> bool:
        known = self._deduplication.get(deduplication_id)
        if known is not None and known > now - _DEDUPLICATION:
            return False
        self._deduplication[deduplication_id] = now
        return True

    def _append(self, message: _Stored) -> None:
        self._sequence += 1
        message.sequence = self._sequence
        self._messages.append(message)

    def _in_flight(self, message: _Stored) -> bool:
        return message.receipt is not None and message.visible_at > self._clock.now()

    def _held(self, receipt_handles: Sequence[str]) -> Mapping[str | None, _Stored]:
        wanted = set(receipt_handles)
        return {
            message.receipt: message
            for message in self._messages
            if message.receipt in wanted and self._in_flight(message)
        }

    def _timeouts_s(self) -> Iterator[float]:
        now = self._clock.now()
        for message in self._messages:
            if self._in_flight(message):
                yield (message.visible_at - now).total_seconds()

    def _pick(self, limit: int, timeout_s: float) -> list[QueueMessage]:
        self._bury()
        now = self._clock.now()
        busy = {m.outgoing.group_id for m in self._messages if self.fifo and self._in_flight(m)}
        picked = [
            message
            for message in self._messages
            if not self._in_flight(message)
            and not (self.fifo and message.outgoing.group_id in busy)
        ][:limit]
        for message in picked:
            message.receipt = self._new_id()
            message.receive_count += 1
            message.first_received_at = message.first_received_at or now
            message.visible_at = now + timedelta(seconds=timeout_s)
        return [self._message(message) for message in picked]

    def _bury(self) -> None:
        """Move what was received too often to the dead letters."""
        if self._max_receive_count is None or self.dead_letters is None:
            return
        exhausted = [
            message
            for message in self._messages
            if message.receive_count >= self._max_receive_count and not self._in_flight(message)
        ]
        for message in exhausted:
            self._messages.remove(message)
            message.receipt = None
        self.dead_letters.put_in(exhausted)

    def _message(self, message: _Stored) -> QueueMessage:
        return QueueMessage(
            message_id=message.message_id,
            receipt_handle=message.receipt or "",
            body=message.outgoing.body,
            attributes=dict(message.outgoing.attributes),
            group_id=message.outgoing.group_id,
            deduplication_id=message.outgoing.deduplication_id,
            sequence_number=str(message.sequence) if self.fifo else None,
            sent_at=message.sent_at,
            first_received_at=message.first_received_at or message.sent_at,
            receive_count=message.receive_count,
        )

    def peek(self, limit: int) -> list[QueueMessage]:
        """Return the first messages without receiving them."""
        with self._changed:
            return [
                structs.replace(self._message(message), receipt_handle="")
                for message in self._messages[:limit]
            ]

    def take_out(self, message_ids: Sequence[str] | None) -> list[_Stored]:
        """Remove messages that are not in flight, all or those named, and return them."""
        with self._changed:
            taken = [
                message
                for message in self._messages
                if not self._in_flight(message)
                and (message_ids is None or message.message_id in message_ids)
            ]
            gone = {message.sequence for message in taken}
            self._messages = [m for m in self._messages if m.sequence not in gone]
            return taken

    def put_in(self, messages: Sequence[_Stored]) -> None:
        """Append messages of another queue."""
        with self._changed:
            for message in messages:
                self._append(message)
            self._changed.notify_all()


class MemoryQueueAdmin:
    """What an operator does, on queues in this process; keeps no ledger.

    Args:
        queues: Those that messages are sent to; their dead letters come with them.
    """

    def __init__(self, *queues: MemoryQueue) -> None:
        self._sources = {q.dead_letters.name: q for q in queues if q.dead_letters is not None}

    def peek(self, queue: str, limit: int) -> list[QueueMessage]:
        """Return messages of a dead-letter queue without receiving them."""
        return self._dead_letters(queue).peek(limit)

    def redrive(self, dead_letter_queue: str, *, message_ids: Sequence[str] | None = None) -> int:
        """Move messages back to their source queue, in order; return how many."""
        moved = self._dead_letters(dead_letter_queue).take_out(message_ids)
        for message in moved:
            message.receive_count = 0
            message.first_received_at = None
        self._sources[dead_letter_queue].put_in(moved)
        return len(moved)

    def purge(self, dead_letter_queue: str, *, message_ids: Sequence[str] | None = None) -> int:
        """Delete messages for good; return how many."""
        return len(self._dead_letters(dead_letter_queue).take_out(message_ids))

    def _dead_letters(self, name: str) -> MemoryQueue:
        source = self._sources.get(name)
        if source is None or source.dead_letters is None:
            msg = f"no dead-letter queue {name!r}"
            raise NotFound(msg)
        return source.dead_letters
