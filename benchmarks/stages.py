"""What each stage of a reading's way costs in this process, without any server behind it."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from benchmarks.publisher import payloads
from plumbline.adapters.clock import SystemClock
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.reading_store import PostgresReadingStore
from plumbline.adapters.sending import screen
from plumbline.application.distribute import Distribute
from plumbline.application.intake import Intake
from plumbline.application.persist import Persist
from plumbline.codecs.queue_message import decode
from plumbline.domain.delivery import DeliveredReading
from plumbline.lambdas.sqs_event import event_of, messages_of
from plumbline.ports import (
    BrokerMessage,
    OutgoingMessage,
    PersistBatch,
    PersistOutcome,
    QueueDepth,
    QueueMessage,
    SendFailure,
)

_BATCH = 1000
_DEVICES = 1000
_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One line of the table.

    Attributes:
        name: Which.
        us_per_reading: Microseconds of CPU a reading, of the fastest batch.
    """

    name: str
    us_per_reading: float


def measure() -> list[Stage]:
    """Measure each stage with whole batches of plain readings."""
    now = datetime.now(UTC)
    devices = [f"bench-{number:04}" for number in range(_DEVICES)]
    messages = [
        BrokerMessage(f"tilt/{device}/telemetry", payload, number + 1, now)
        for number, (device, payload) in enumerate(
            zip(devices, payloads(devices, _BATCH), strict=True)
        )
    ]
    fifo, standard = _Sink("distributing", fifo=True), _Sink("db1", fifo=False)
    intake = Intake(fifo, SystemClock())
    intake.accept(messages)
    sent = fifo.batches[0]
    received = _received(sent, now)
    distribute = Distribute({"db1": standard})
    distribute.run(received)
    forwarded = _received(standard.batches[0], now)
    persist = Persist(_NoStore())
    contents = [decode(message) for message in forwarded]
    batch = PersistBatch([one for one in contents if isinstance(one, DeliveredReading)], [], [])
    store = PostgresReadingStore(cast("Database", _NoDatabase()))
    stages: Mapping[str, Callable[[], object]] = {
        "parsing: decode, order, encode": lambda: intake.accept(messages),
        "a queue's screening": lambda: screen(sent, fifo=True),
        "local event and back": lambda: messages_of(event_of(received, "distributing")),
        "distributing": lambda: distribute.run(received),
        "db1: decode": lambda: persist.run(forwarded),
        "db1: columns and ledger": lambda: store.persist(batch),
    }
    gc.disable()  # the workers' collector is as good as off
    try:
        return [Stage(name, _us(call)) for name, call in stages.items()]
    finally:
        gc.enable()


def _us(call: Callable[[], object]) -> float:
    best = float("inf")
    ends = time.perf_counter() + _SECONDS
    while time.perf_counter() < ends:
        began = time.process_time()
        call()
        best = min(best, time.process_time() - began)
    return best / _BATCH * 1e6


def _received(messages: Sequence[OutgoingMessage], now: datetime) -> list[QueueMessage]:
    return [
        QueueMessage(
            message_id=f"0b2ad0e4-52a5-4a6b-8f8f-{number:012x}",
            receipt_handle=f"receipt:{number}",
            body=message.body,
            attributes=message.attributes,
            group_id=message.group_id,
            deduplication_id=message.deduplication_id,
            sequence_number=str(number),
            sent_at=now - timedelta(milliseconds=1),
            first_received_at=now,
            receive_count=1,
        )
        for number, message in enumerate(messages)
    ]


class _Sink:
    """Accepts everything and keeps the first two sends."""

    def __init__(self, name: str, *, fifo: bool) -> None:
        self.name = name
        self.fifo = fifo
        self.batches: list[Sequence[OutgoingMessage]] = []

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        if len(self.batches) < 2:
            self.batches.append(messages)
        return []

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


class _NoStore:
    def persist(self, batch: PersistBatch) -> PersistOutcome:
        return PersistOutcome(stored=len(batch.readings))


class _NoDatabase:
    """A connection that takes every statement, and says that each reading was new."""

    @contextmanager
    def connection(self) -> Iterator[Any]:
        yield self

    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    def execute(self, *_: object) -> "_NoDatabase":
        return self

    def fetchone(self) -> tuple[int, None]:
        return _BATCH, None

    def fetchall(self) -> list[Any]:
        return []
