"""Stores batches of readings, refusals and receipts, each batch in one transaction."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from uuid import UUID

import psycopg

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.partitions import (
    KeptDays,
    is_missing_partition,
    provide_partitions,
)
from plumbline.adapters.postgres.persisting import (
    REFUSED,
    insert_isolated,
    insert_outcomes,
    insert_readings,
    insert_receipts,
    insert_refusals,
    record_taken,
    upsert_statuses,
)
from plumbline.adapters.postgres.reading_columns import in_lock_order
from plumbline.codecs.reading_json import encode_reading
from plumbline.codecs.telemetry import TELEMETRY_TOPIC
from plumbline.domain.delivery import DeliveredReading, Refusal
from plumbline.domain.ledger import Outcome, tally
from plumbline.domain.reading import format_time
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidMessage, StoreUnavailable
from plumbline.ports import PersistBatch, PersistOutcome

# One as it should be, one after partitions were created, one to isolate a refused row; and spare
# ones for a partition that retention drops in between.
_ATTEMPTS = 5


class PostgresReadingStore:
    """The reading store on PostgreSQL; for one thread.

    Args:
        database: Its connection; failures become StoreUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def persist(self, batch: PersistBatch) -> PersistOutcome:
        """Store the batch and its ledger entries in one transaction.

        A reading of a day past retention, for which there is no place any more, is quarantined.

        Raises:
            StoreUnavailable: Nothing of the batch is stored, or all of it (and a repetition
                finds that out).
            InvalidMessage: The database refuses a receipt; nothing of the batch is stored.
        """
        work = _Work(batch)
        with self._database.connection() as connection:
            for _ in range(_ATTEMPTS):
                try:
                    with connection.transaction():
                        return work.run(connection)
                except REFUSED as error:
                    if is_missing_partition(error):
                        kept = provide_partitions(connection, work.readings)
                        if kept is not None:
                            work.quarantine_days_without_place(kept)
                    elif work.isolate:
                        msg = "the database refuses a receipt"
                        raise InvalidMessage(msg) from error
                    else:
                        work.isolate = True
        msg = "partitions disappear as fast as they are created"
        raise StoreUnavailable(msg)


class _Work:
    """One batch: each delivery once, in lock order."""

    def __init__(self, batch: PersistBatch) -> None:
        unique = {d.delivery_id: d for d in reversed(batch.readings)}
        self._received = len(batch.readings) + len({r.delivery_id for r in batch.refusals})
        self._receipts = batch.receipts
        self.readings = in_lock_order(unique.values())
        self.refusals = list(batch.refusals)
        self.isolate = False

    def quarantine_days_without_place(self, kept: KeptDays) -> None:
        """Turn the readings of days that are not kept into refusals."""
        placed = []
        for delivered in self.readings:
            day = delivered.reading.observed_at.astimezone(UTC).date()
            if day < kept.oldest:
                self.refusals.append(_refusal(delivered, Reason.TIMESTAMP_TOO_OLD))
            elif day > kept.newest:
                self.refusals.append(_refusal(delivered, Reason.TIMESTAMP_IN_FUTURE))
            else:
                placed.append(delivered)
        self.readings = placed

    def run(self, connection: psycopg.Connection) -> PersistOutcome:
        """Take all steps, in the transaction that is open."""
        rejected: dict[UUID, str] = {}
        stored, duplicates, conflicts = self._store_readings(connection, rejected)
        quarantined = self._store_refusals(connection, rejected)
        if stored:
            upsert_statuses(connection, [d.reading for d in stored])
        if self._receipts:
            insert_receipts(connection, self._receipts)
        batches = tally(
            [
                *((d.delivery_id, d.reading.device_id, Outcome.STORED) for d in stored),
                *((d.delivery_id, d.reading.device_id, Outcome.DUPLICATE) for d in duplicates),
                *((d.delivery_id, d.reading.device_id, Outcome.CONFLICT) for d in conflicts),
                *((r.delivery_id, r.device_id, Outcome.QUARANTINED) for r in quarantined),
            ]
        )
        if batches:
            insert_outcomes(connection, batches)
        new = len(stored) + len(duplicates) + len(conflicts) + len(quarantined)
        return PersistOutcome(
            stored=len(stored),
            duplicates=len(duplicates),
            conflicts=len(conflicts),
            quarantined=len(quarantined),
            repeated=self._received - new - len(rejected),
            rejected=rejected,
        )
