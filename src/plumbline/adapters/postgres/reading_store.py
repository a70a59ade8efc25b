"""Stores batches of what the pipeline brings, each batch in one transaction."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from uuid import UUID

import psycopg

from plumbline.adapters.postgres.command_events import take_in
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.frames import Reception, first_times
from plumbline.adapters.postgres.partitions import (
    is_missing_partition,
    provide_partitions,
    utc_day,
)
from plumbline.adapters.postgres.persisting import (
    REFUSED,
    D,
    Insert,
    accounted,
    insert_events,
    insert_isolated,
    insert_outcomes,
    insert_readings,
    insert_receipts,
    insert_refusals,
    record_events_again,
    record_taken,
    upsert_statuses,
)
from plumbline.adapters.postgres.reading_columns import in_lock_order
from plumbline.codecs.reading_json import encode_reading
from plumbline.codecs.telemetry import TELEMETRY_TOPIC
from plumbline.domain.delivery import DeliveredEvent, DeliveredReading, Refusal
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
            InvalidMessage: The database refuses a receipt or a command's event; nothing of the
                batch is stored.
        """
        work = _Work(batch)
        with self._database.connection() as connection:
            for _ in range(_ATTEMPTS):
                try:
                    with connection.transaction():
                        return work.run(connection)
                except REFUSED as error:
                    if is_missing_partition(error):
                        work.provide_places(connection)
                    elif work.isolate:
                        msg = "the database refuses a receipt or an event of a command"
                        raise InvalidMessage(msg) from error
                    else:
                        work.isolate = True
        msg = "partitions disappear as fast as they are created"
        raise StoreUnavailable(msg)


class _Work:
    """One batch: each delivery once, in lock order."""

    def __init__(self, batch: PersistBatch) -> None:
        unique = {d.delivery_id: d for d in reversed(batch.readings)}
        answers = [event for event in batch.command_events if event.arrival is not None]
        refused = {refusal.delivery_id for refusal in batch.refusals}
        self._received = len(batch.readings) + len(batch.events) + len(refused) + len(answers)
        self._receipts = batch.receipts
        self.readings = in_lock_order(unique.values())
        self.events = list({d.delivery_id: d for d in reversed(batch.events)}.values())
        self.refusals = list(batch.refusals)
        self._command_events = batch.command_events
        self.isolate = False

    def provide_places(self, connection: psycopg.Connection) -> None:
        """Create the partitions that are missing; what gets none becomes a refusal.

        A day without partition may have had one that retention dropped: what was accounted for
        then is only repeated now.
        """
        provision = provide_partitions(connection, self.readings)
        without_place = [
            d.delivery_id
            for d in self.readings
            if utc_day(d.reading.observed_at) in provision.missing
        ]
        repeated = accounted(connection, without_place)
        placed = []
        for delivered in self.readings:
            reason = provision.refused.get(utc_day(delivered.reading.observed_at))
            if delivered.delivery_id in repeated:
                continue
            if reason is None:
                placed.append(delivered)
            else:
                self.refusals.append(_refusal(delivered, reason))
        self.readings = placed

    def run(self, connection: psycopg.Connection) -> PersistOutcome:
        """Take all steps, in the transaction that is open."""
        rejected: dict[UUID, str] = {}
        self._make_frames_one(connection)
        stored, duplicates, conflicts = self._store_readings(connection, rejected)
        kept, kept_again = self._store_events(connection, rejected)
        heard = take_in(connection, self._command_events)
        quarantined = self._store_refusals(connection, heard.refusals, rejected)
        if stored:
            upsert_statuses(connection, [d.reading for d in stored])
        if self._receipts:
            insert_receipts(connection, self._receipts)
        batches = tally(
            {
                Outcome.STORED: chain(
                    ((d.delivery_id, d.reading.device_id) for d in stored),
                    ((d.delivery_id, d.event.device_id) for d in kept),
                    ((e.delivery_id, e.device_id) for e in heard.answers),
                ),
                Outcome.DUPLICATE: chain(
                    ((d.delivery_id, d.reading.device_id) for d in duplicates),
                    ((d.delivery_id, d.event.device_id) for d in kept_again),
                    ((e.delivery_id, e.device_id) for e in heard.duplicates),
                ),
                Outcome.CONFLICT: ((d.delivery_id, d.reading.device_id) for d in conflicts),
                Outcome.QUARANTINED: ((r.delivery_id, r.device_id) for r in quarantined),
            }
        )
        if batches:
            insert_outcomes(connection, batches)
        stored_count = len(stored) + len(kept) + len(heard.answers)
        duplicate_count = len(duplicates) + len(kept_again) + len(heard.duplicates)
        new = stored_count + duplicate_count + len(conflicts) + len(quarantined)
        return PersistOutcome(
            stored=stored_count,
            duplicates=duplicate_count,
            conflicts=len(conflicts),
            quarantined=len(quarantined),
            repeated=self._received - new - len(rejected),
            answers=len(heard.answers),
            command_events=len(heard.new),
            rejected=rejected,
        )

    def _make_frames_one(self, connection: psycopg.Connection) -> None:
        """Give every reception of a radio frame the time of its first one."""
        framed = [
            Reception(d.delivery_id, d.reading.device_id, d.frame, d.reading.observed_at)
            for d in self.readings
            if d.frame is not None
        ]
        if framed:
            times = first_times(connection, "reading", framed)
            self.readings = in_lock_order(
                d._replace(reading=d.reading._replace(observed_at=times[d.delivery_id]))
                if d.delivery_id in times
                else d
                for d in self.readings
            )
        receptions = [
            Reception(d.delivery_id, d.event.device_id, d.frame, d.event.observed_at)
            for d in self.events
        ]
        if receptions:
            times = first_times(connection, "event", receptions)
            self.events = [
                replace(d, event=replace(d.event, observed_at=times[d.delivery_id]))
                for d in self.events
            ]

    def _store_events(
        self, connection: psycopg.Connection, rejected: dict[UUID, str]
    ) -> tuple[list[DeliveredEvent], list[DeliveredEvent]]:
        """Return the events that are stored and duplicates by this transaction."""
        inserted = self._insert(connection, self.events, insert_events, rejected)
        stored = [d for d in self.events if d.delivery_id in inserted]
        rest = [
            d
            for d in self.events
            if d.delivery_id not in inserted and d.delivery_id not in rejected
        ]
        return stored, record_events_again(connection, rest)

    def _store_readings(
        self, connection: psycopg.Connection, rejected: dict[UUID, str]
    ) -> tuple[list[DeliveredReading], list[DeliveredReading], list[DeliveredReading]]:
        """Return the readings that are stored, duplicates and conflicts by this transaction."""
        inserted = self._insert(connection, self.readings, insert_readings, rejected)
        if len(inserted) == len(self.readings):
            return self.readings, [], []
        stored = [d for d in self.readings if d.delivery_id in inserted]
        taken = [
            d
            for d in self.readings
            if d.delivery_id not in inserted and d.delivery_id not in rejected
        ]
        duplicates, conflicts = record_taken(connection, taken) if taken else ([], [])
        return stored, duplicates, conflicts

    def _store_refusals(
        self,
        connection: psycopg.Connection,
        others: Sequence[Refusal],
        rejected: dict[UUID, str],
    ) -> list[Refusal]:
        """Return the refusals that are quarantined by this transaction, one a delivery."""
        refusals = [*self.refusals, *others]
        new = self._insert(connection, refusals, insert_refusals, rejected)
        return list({r.delivery_id: r for r in refusals if r.delivery_id in new}.values())

    def _insert(
        self,
        connection: psycopg.Connection,
        rows: Sequence[D],
        insert: Insert[D],
        rejected: dict[UUID, str],
    ) -> set[UUID]:
        if not rows:
            return set()
        if self.isolate:
            return insert_isolated(connection, rows, insert, rejected)
        return insert(connection, rows)


def _refusal(delivered: DeliveredReading, reason: Reason) -> Refusal:
    reading = delivered.reading
    return Refusal(
        delivery_id=delivered.delivery_id,
        device_id=reading.device_id,
        topic=TELEMETRY_TOPIC.format(device_id=reading.device_id),
        raw=encode_reading(reading).encode(),
        reason=reason,
        detail=format_time(reading.observed_at),
        received_at=delivered.received_at,
    )
