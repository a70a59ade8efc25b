"""The steps of the transaction that persists one batch.

Every step locks its rows in sorted order, and all transactions take the steps in one order, so two
writers wait for each other but never in a circle.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

import psycopg

from plumbline.adapters.postgres.binary_arrays import (
    Array,
    BigIntegers,
    Doubles,
    Integers,
    Moments,
    Texts,
    Uuids,
)
from plumbline.adapters.postgres.frames import keep_best_reception
from plumbline.adapters.postgres.partitions import is_missing_partition
from plumbline.adapters.postgres.queries import load
from plumbline.adapters.postgres.reading_columns import reading_columns, status_columns
from plumbline.codecs.reading_json import encode_reading
from plumbline.domain.delivery import DeliveredEvent, DeliveredReading, Receipt, Refusal
from plumbline.domain.ledger import DeviceCounts
from plumbline.domain.reading import Reading

_SQL = load("readings.sql")
_FRAMES = load("frames.sql")
_ENCODER = json.JSONEncoder(separators=(",", ":"))

# What the database says of a value it does not take (SQLSTATE classes 22 and 23), and what the
# driver says of text it cannot even send.
REFUSED = (psycopg.DataError, psycopg.IntegrityError, UnicodeEncodeError)

_Connection = psycopg.Connection[Any]


class _Delivery(Protocol):
    @property
    def delivery_id(self) -> UUID: ...


D = TypeVar("D", bound=_Delivery)

Insert = Callable[[_Connection, Sequence[D]], set[UUID]]
"""Inserts rows and returns the delivery ids of those that are new."""


def insert_isolated(
    connection: _Connection, rows: Sequence[D], insert: Insert[D], rejected: dict[UUID, str]
) -> set[UUID]:
    """Insert as ``insert`` does, but find the rows that the database refuses, by halving.

    Args:
        rejected: Receives the refused deliveries and why.
    """
    try:
        with connection.transaction():
            return insert(connection, rows)
    except REFUSED as error:
        if is_missing_partition(error):
            raise
        if len(rows) == 1:
            rejected[rows[0].delivery_id] = _why(error)
            return set()
    middle = len(rows) // 2
    return insert_isolated(connection, rows[:middle], insert, rejected) | insert_isolated(
        connection, rows[middle:], insert, rejected
    )


def insert_readings(connection: _Connection, rows: Sequence[DeliveredReading]) -> set[UUID]:
    """Insert readings, in lock order, and return the deliveries that took their place."""
    row = connection.execute(_SQL["insert_readings"], reading_columns(rows)).fetchone()
    inserted, ids = row if row is not None else (0, None)
    if inserted == len(rows):
        return {d.delivery_id for d in rows}
    return set(ids or ())


def accounted(connection: _Connection, deliveries: Sequence[UUID]) -> set[UUID]:
    """Return those of the deliveries that have an outcome other than a stored row."""
    rows = connection.execute(_SQL["accounted_deliveries"], {"delivery_id": Uuids(deliveries)})
    return {delivery_id for (delivery_id,) in rows}


def record_taken(
    connection: _Connection, rows: Sequence[DeliveredReading]
) -> tuple[list[DeliveredReading], list[DeliveredReading]]:
    """Record readings whose place another delivery has taken.

    Returns:
        Those new as duplicates (equal values), and those new as conflicts (other values). The rest
        had its outcome before.
    """
    moments = [d.reading.observed_at for d in rows]
    bounds = {"first": min(moments), "last": max(moments)}
    found = dict(
        connection.execute(_SQL["classify_readings"], reading_columns(rows) | bounds).fetchall()
    )
    if not found:
        return [], []
    unknown = found.keys() - accounted(connection, list(found))
    fresh = sorted((d for d in rows if d.delivery_id in unknown), key=lambda d: d.delivery_id.int)
    duplicates = _insert_duplicates(connection, [d for d in fresh if found[d.delivery_id]])
    keep_best_reception(connection, duplicates)
    return (
        duplicates,
        _insert_conflicts(connection, [d for d in fresh if not found[d.delivery_id]]),
    )


def insert_refusals(connection: _Connection, refusals: Sequence[Refusal]) -> set[UUID]:
    """Quarantine refused messages and return the deliveries that are new there.

    The parts of one message may come in one batch or in several; they are one delivery.
    """
    messages = {r.delivery_id: r for r in refusals}
    unknown = messages.keys() - accounted(connection, list(messages))
    rows = [messages[delivery_id] for delivery_id in sorted(unknown)]
    new = connection.execute(
        _SQL["insert_quarantine"],
        {
            "delivery_id": Uuids([r.delivery_id for r in rows]),
            "device_id": Texts([r.device_id for r in rows]),
            "topic": Texts([r.topic for r in rows]),
            "reason": Texts([r.reason for r in rows]),
            "detail": Texts([r.detail for r in rows]),
            "item": Integers([r.item for r in rows]),
            "parts": Integers([r.parts for r in rows]),
            "received_at": Moments([r.received_at for r in rows]),
        },
    ).fetchall()
    parts = sorted(refusals, key=lambda r: (r.delivery_id, r.part))
    connection.execute(
        _SQL["insert_quarantine_parts"],
        {
            "delivery_id": Uuids([r.delivery_id for r in parts]),
            "part": Integers([r.part for r in parts]),
            "raw": [r.raw for r in parts],
        },
    )
    return {delivery_id for (delivery_id,) in new}


def insert_events(connection: _Connection, rows: Sequence[DeliveredEvent]) -> set[UUID]:
    """Keep events, each frame's once, and return the deliveries that are new there."""
    unknown = {d.delivery_id for d in rows}
    unknown -= accounted(connection, list(unknown))
    fresh = sorted((d for d in rows if d.delivery_id in unknown), key=_place_of_event)
    new = connection.execute(_FRAMES["insert_events"], _event_columns(fresh))
    return {delivery_id for (delivery_id,) in new}


def record_events_again(
    connection: _Connection, rows: Sequence[DeliveredEvent]
) -> list[DeliveredEvent]:
    """Record events whose frame is there already; return those new as duplicates."""
    if not rows:
        return []
    ids = [d.delivery_id for d in rows]
    known = accounted(connection, ids)
    fresh = sorted((d for d in rows if d.delivery_id not in known), key=lambda d: d.delivery_id.int)
    keys = {
        "delivery_id": Uuids([d.delivery_id for d in fresh]),
        "device_id": Texts([d.event.device_id for d in fresh]),
        "timestamp": Moments([d.event.observed_at for d in fresh]),
    }
    new = {delivery_id for (delivery_id,) in connection.execute(_SQL["insert_duplicates"], keys)}
    return [d for d in fresh if d.delivery_id in new]


def upsert_statuses(connection: _Connection, stored: Sequence[Reading]) -> None:
    """Move the status of the readings' devices forward in device time; in lock order."""
    connection.execute(_SQL["upsert_statuses"], status_columns(stored))


def insert_receipts(connection: _Connection, receipts: Sequence[Receipt]) -> None:
    """Record receipts in the ledger, each batch's once."""
    rows = sorted(receipts, key=lambda r: r.batch_id)
    connection.execute(
        _SQL["insert_receipts"],
        {
            "batch_id": Texts([r.batch_id for r in rows]),
            "messages": Integers([r.messages for r in rows]),
            "counts": Texts([_ENCODER.encode(r.items) for r in rows]),
        },
    )


def insert_outcomes(connection: _Connection, batches: Mapping[str, DeviceCounts]) -> None:
    """Record outcomes in the ledger, by batch id."""
    connection.execute(
        _SQL["insert_outcomes"],
        {
            "batch_id": Texts(list(batches)),
            "counts": Texts([_ENCODER.encode(counts) for counts in batches.values()]),
        },
    )


def _insert_duplicates(
    connection: _Connection, rows: Sequence[DeliveredReading]
) -> list[DeliveredReading]:
    if not rows:
        return []
    return _new(rows, connection.execute(_SQL["insert_duplicates"], _key_columns(rows)))


def _insert_conflicts(
    connection: _Connection, rows: Sequence[DeliveredReading]
) -> list[DeliveredReading]:
    if not rows:
        return []
    columns = {
        "received_at": Moments([d.received_at for d in rows]),
        "reading": Texts([encode_reading(d.reading) for d in rows]),
    }
    return _new(rows, connection.execute(_SQL["insert_conflicts"], _key_columns(rows) | columns))


def _key_columns(rows: Sequence[DeliveredReading]) -> dict[str, Array]:
    return {
        "delivery_id": Uuids([d.delivery_id for d in rows]),
        "device_id": Texts([d.reading.device_id for d in rows]),
        "timestamp": Moments([d.reading.observed_at for d in rows]),
    }


def _place_of_event(delivered: DeliveredEvent) -> tuple[str, datetime, int, int]:
    event = delivered.event
    return event.device_id, event.observed_at, delivered.frame.int, delivered.delivery_id.int


def _event_columns(rows: Sequence[DeliveredEvent]) -> dict[str, Array]:
    events = [d.event for d in rows]
    return {
        "delivery_id": Uuids([d.delivery_id for d in rows]),
        "device_id": Texts([e.device_id for e in events]),
        "observed_at": Moments([e.observed_at for e in events]),
        "detail": Texts([e.detail for e in events]),
        "status": Texts([e.status for e in events]),
        "fields": Texts([_ENCODER.encode(e.fields) for e in events]),
        "rssi": Doubles([e.rssi_dbm for e in events]),
        "snr": Doubles([e.snr_db for e in events]),
        "sequence": BigIntegers([e.sequence for e in events]),
        "received_at": Moments([d.received_at for d in rows]),
        "frame": Uuids([d.frame for d in rows]),
    }


def _new(rows: Sequence[DeliveredReading], returned: Iterable[Any]) -> list[DeliveredReading]:
    ids = {delivery_id for (delivery_id,) in returned}
    return [d for d in rows if d.delivery_id in ids]


def _why(error: Exception) -> str:
    """Return one line for people, without the value itself."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return type(error).__name__ if isinstance(error, UnicodeEncodeError) else str(error)
