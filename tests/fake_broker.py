"""A broker in memory that keeps what was not acknowledged, and a queue that refuses on demand."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Self

from plumbline.errors import BrokerUnavailable, QueueUnavailable
from plumbline.ports import (
    BrokerMessage,
    OutgoingMessage,
    QueueDepth,
    QueueMessage,
    SendFailure,
)

RECEIVED_AT = datetime(2026, 1, 18, 10, 30, tzinfo=UTC)


class FakeSession:
    """One connection; everything unacknowledged is handed over again by the next."""

    def __init__(self, broker: "FakeBroker", address: str) -> None:
        self.address = address
        self.session_present = broker.session_present
        self._queued = broker.queues[address]
        self._handed_over = 0

    def receive(self, max_messages: int, *, linger_s: float, quiet_s: float) -> list[BrokerMessage]:
        del linger_s, quiet_s
        waiting = [m for m in self._queued if m.packet_id > self._handed_over][:max_messages]
        if waiting:
            self._handed_over = waiting[-1].packet_id
        return waiting

    def acknowledge(self, messages: Sequence[BrokerMessage]) -> None:
        for message in messages:
            self._queued.remove(message)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class FakeBroker:
    """Broker tasks by address; those in ``down`` are away, those in ``left`` not resolved."""

    def __init__(self, *addresses: str) -> None:
        self.queues: dict[str, list[BrokerMessage]] = {a: [] for a in addresses or ("a",)}
        self.down: set[str] = set()
        self.left: set[str] = set()
        self.session_present = True
        self._packet_id = 0

    def publish(self, topic: str, payload: bytes, address: str = "a") -> None:
        self._packet_id += 1
        self.queues[address].append(BrokerMessage(topic, payload, self._packet_id, RECEIVED_AT))

    def addresses(self, also: Sequence[str] = ()) -> list[str]:
        return [*(address for address in self.queues if address not in self.left), *also]

    def open(self, address: str) -> FakeSession:
        if address in self.down:
            msg = f"{address} is down"
            raise BrokerUnavailable(msg)
        return FakeSession(self, address)


class ScriptedQueue:
    """Accepts and records messages, but those that ``refuse`` names."""

    name = "scripted"
    fifo = True

    def __init__(self, refuse: Callable[[OutgoingMessage], bool] = lambda _: False) -> None:
        self.sent: list[OutgoingMessage] = []
        self.refuse = refuse
        self.unavailable = False

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        if self.unavailable:
            msg = "the queue is down"
            raise QueueUnavailable(msg)
        failures: list[SendFailure] = []
        held: set[str | None] = set()
        for index, message in enumerate(messages):
            if message.group_id is not None and message.group_id in held:
                failures.append(SendFailure(index, "Held", "", sender_fault=False))
            elif self.refuse(message):
                held.add(message.group_id)
                failures.append(SendFailure(index, "InternalError", "", sender_fault=False))
            else:
                self.sent.append(message)
        return failures

    def receive(
        self, max_messages: int, *, wait_s: float = 0.0, visibility_s: float | None = None
    ) -> list[QueueMessage]:
        raise NotImplementedError

    def delete(self, receipt_handles: Sequence[str]) -> list[str]:
        raise NotImplementedError

    def change_visibility(self, receipt_handles: Sequence[str], visibility_s: float) -> None:
        raise NotImplementedError

    def depth(self) -> QueueDepth:
        raise NotImplementedError


def queue_messages(outgoing: Iterable[OutgoingMessage]) -> list[QueueMessage]:
    """Return the messages as a queue would deliver them."""
    return [
        QueueMessage(
            message_id=f"m{index}",
            receipt_handle=f"r{index}",
            body=message.body,
            attributes=message.attributes,
            group_id=message.group_id,
            deduplication_id=message.deduplication_id,
            sequence_number=None,
            sent_at=RECEIVED_AT,
            first_received_at=RECEIVED_AT,
            receive_count=1,
        )
        for index, message in enumerate(outgoing)
    ]
