"""A migrated database with everything that writes to it and reads from it, for tests."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, TypeAlias
from uuid import UUID

import psycopg

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.ledger import PostgresLedger
from plumbline.adapters.postgres.quarantine import PostgresQuarantine
from plumbline.adapters.postgres.reading_store import PostgresReadingStore
from plumbline.adapters.postgres.retention import PostgresRetention
from plumbline.adapters.postgres.statuses import PostgresStatuses
from plumbline.codecs.queue_message import Content
from plumbline.domain.command_event import CommandEvent
from plumbline.domain.delivery import (
    DeliveredEvent,
    DeliveredReading,
    Receipt,
    Refusal,
    delivery_id,
    new_batch_id,
)
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading
from plumbline.domain.reason import Reason
from plumbline.errors import StoreUnavailable
from plumbline.ports import PersistBatch, PersistOutcome

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
"""Yesterday: never in the future, and a minute more or less is the same day."""


def reading(device_id: str = "dev-1", at: datetime = NOON, **values: Any) -> Reading:  # noqa: ANN401 - any of Reading's fields
    """Make a reading; what a test does not care for is left to this."""
    fields: dict[str, Any] = {"device_id": device_id, "observed_at": at, "tilt_angle_deg": 1.5}
    return Reading(**(fields | values))


Delivery: TypeAlias = Content


@dataclass(slots=True)
class Batch:
    """Deliveries of one drain, in the order in which the broker handed them over."""

    received_at: datetime = NOON
    batch_id: str = field(default_factory=lambda: new_batch_id(datetime.now(UTC)))
    _indices: Iterator[int] = field(default_factory=itertools.count)

    def deliver(self, *readings: Reading, frame: UUID | None = None) -> list[DeliveredReading]:
        """Give each reading the batch's next delivery id."""
        return [DeliveredReading(r, self._next_id(), self.received_at, frame) for r in readings]

    def deliver_events(self, *events: DeviceEvent, frame: UUID) -> list[DeliveredEvent]:
        """Give each event the batch's next delivery id."""
        return [DeliveredEvent(e, self._next_id(), self.received_at, frame) for e in events]

    def _next_id(self) -> UUID:
        return delivery_id(self.batch_id, next(self._indices))

    def refuse(self, raw: bytes = b"?", device_id: str = "dev-1", parts: int = 1) -> list[Refusal]:
        """Make one refused message, cut into equal parts."""
        identity = self._next_id()
        size = -(-len(raw) // parts)
        whole = Refusal(
            delivery_id=identity,
            device_id=device_id,
            topic=f"tilt/{device_id}/telemetry",
            raw=raw,
            reason=Reason.INVALID_JSON,
            detail="at character 0",
            received_at=self.received_at,
            parts=parts,
        )
        return [
            replace(whole, raw=raw[part * size : (part + 1) * size], part=part)
            for part in range(parts)
        ]

    def receipt(self, items: Mapping[str, int], messages: int | None = None) -> Receipt:
        """Make the batch's receipt."""
        count = sum(items.values()) if messages is None else messages
        return Receipt(self.batch_id, self.received_at, count, dict(items))


def deliver(*readings: Reading) -> list[DeliveredReading]:
    """Deliver readings as one new batch."""
    return Batch().deliver(*readings)


@dataclass(slots=True)
class World:
    """One database and what works on it."""

    url: str
    database: Database
    store: PostgresReadingStore
    ledger: PostgresLedger
    quarantine: PostgresQuarantine
    retention: PostgresRetention
    statuses: PostgresStatuses

    def persist(self, *deliveries: Delivery) -> PersistOutcome:
        """Persist all in one transaction."""
        return self.store.persist(
            PersistBatch(
                [d for d in deliveries if isinstance(d, DeliveredReading)],
                [d for d in deliveries if isinstance(d, Refusal)],
                [d for d in deliveries if isinstance(d, Receipt)],
                [d for d in deliveries if isinstance(d, DeliveredEvent)],
                [d for d in deliveries if isinstance(d, CommandEvent)],
            )
        )

    def query(self, statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, if it has any."""
        with self.database.connection() as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: LiteralString, *parameters: object) -> Any:  # noqa: ANN401 - of any type
        """Run one statement and return its only value."""
        ((value,),) = self.query(statement, *parameters)
        return value

    def outcomes(self) -> dict[str, dict[str, int]]:
        """Return the ledger's outcomes by device, summed over all entries."""
        sums: dict[str, dict[str, int]] = {}
        for (entry,) in self.query("SELECT counts FROM ledger_entry WHERE kind = 'outcome'"):
            for device, counts in entry.items():
                for name, count in counts.items():
                    device_sums = sums.setdefault(device, {})
                    device_sums[name] = device_sums.get(name, 0) + count
        return sums


@contextmanager
def open_world(url: str) -> Iterator[World]:
    """Yield the world of a migrated database."""
    database = Database(url, StoreUnavailable)
    try:
        yield World(
            url,
            database,
            PostgresReadingStore(database),
            PostgresLedger(database),
            PostgresQuarantine(database),
            PostgresRetention(database),
            PostgresStatuses(database),
        )
    finally:
        database.close()


def connect(url: str) -> psycopg.Connection:
    """Return a connection of its own, in autocommit mode."""
    return psycopg.connect(url, autocommit=True)
