"""The steps of the transaction that persists one batch.

Every step locks its rows in sorted order, and all transactions take the steps in one order, so two
writers wait for each other but never in a circle.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from uuid import UUID

import psycopg

from plumbline.adapters.postgres.partitions import is_missing_partition
from plumbline.adapters.postgres.queries import load
from plumbline.adapters.postgres.reading_columns import reading_columns, status_columns
from plumbline.codecs.reading_json import encode_reading
from plumbline.domain.delivery import DeliveredReading, Receipt, Refusal
from plumbline.domain.ledger import DeviceCounts
from plumbline.domain.reading import Reading

_SQL = load("readings.sql")
_ENCODER = json.JSONEncoder(separators=(",", ":"))

# What the database says of a value it does not take (SQLSTATE classes 22 and 23), and what the
# driver says of text it cannot even send.
REFUSED = (psycopg.DataError, psycopg.IntegrityError, UnicodeEncodeError)

_Connection = psycopg.Connection[Any]


class _Delivery(Protocol):
    @property
    def delivery_id(self) -> UUID: ...


_D = TypeVar("_D", bound=_Delivery)

Insert = Callable[[_Connection, Sequence[_D]], set[UUID]]
"""Inserts rows and returns the delivery ids of those that are new."""


def insert_isolated(
    connection: _Connection, rows: Sequence[_D], insert: Insert[_D], rejected: dict[UUID, str]
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


def record_taken(
    connection: _Connection, rows: Sequence[DeliveredReading]
) -> tuple[list[DeliveredReading], list[DeliveredReading]]:
    """Record readings whose place another delivery has taken.

    Returns:
        Those new as duplicates (equal values), and those new as conflicts (other values). The rest
        had its outcome before.
    """
    columns = reading_columns(rows)
    columns["first"] = min(columns["timestamp"])
    columns["last"] = max(columns["timestamp"])
    found = dict(connection.execute(_SQL["classify_readings"], columns).fetchall())
    if not found:
        return [], []
    unknown = found.keys() - _accounted(connection, list(found))
    fresh = sorted((d for d in rows if d.delivery_id in unknown), key=lambda d: d.delivery_id)
    equal = [d for d in fresh if found[d.delivery_id]]
    other = [d for d in fresh if not found[d.delivery_id]]
    return (
        _insert_beside(connection, "insert_duplicates", equal),
        _insert_beside(connection, "insert_conflicts", other),
    )


def insert_refusals(connection: _Connection, refusals: Sequence[Refusal]) -> set[UUID]:
    """Quarantine refused messages and return the deliveries that are new there.

    The parts of one message may come in one batch or in several; they are one delivery.
    """
    messages = {r.delivery_id: r for r in refusals}
    unknown = messages.keys() - _accounted(connection, list(messages))
    rows = [messages[delivery_id] for delivery_id in sorted(unknown)]
    new = connection.execute(
        _SQL["insert_quarantine"],
        {
            "delivery_id": [r.delivery_id for r in rows],
            "device_id": [r.device_id for r in rows],
            "topic": [r.topic for r in rows],
            "reason": [r.reason.value for r in rows],
            "detail": [r.detail for r in rows],
            "item": [r.item for r in rows],
            "parts": [r.parts for r in rows],
            "received_at": [r.received_at for r in rows],
        },
    ).fetchall()
    parts = sorted(refusals, key=lambda r: (r.delivery_id, r.part))
    connection.execute(
        _SQL["insert_quarantine_parts"],
        {
            "delivery_id": [r.delivery_id for r in parts],
            "part": [r.part for r in parts],
            "raw": [r.raw for r in parts],
        },
    )
    return {delivery_id for (delivery_id,) in new}


def upsert_statuses(connection: _Connection, stored: Sequence[Reading]) -> None:
    """Move the status of the readings' devices forward in device time."""
    connection.execute(_SQL["upsert_statuses"], status_columns(stored))


def insert_receipts(connection: _Connection, receipts: Sequence[Receipt]) -> None:
    """Record receipts in the ledger, each batch's once."""
    rows = sorted(receipts, key=lambda r: r.batch_id)
    connection.execute(
        _SQL["insert_receipts"],
        {
            "batch_id": [r.batch_id for r in rows],
            "messages": [r.messages for r in rows],
            "counts": [_ENCODER.encode(r.items) for r in rows],
        },
    )


def insert_outcomes(connection: _Connection, batches: Mapping[str, DeviceCounts]) -> None:
    """Record outcomes in the ledger, by batch id."""
    connection.execute(
        _SQL["insert_outcomes"],
        {
            "batch_id": list(batches),
            "counts": [_ENCODER.encode(counts) for counts in batches.values()],
        },
    )


def _accounted(connection: _Connection, deliveries: Sequence[UUID]) -> set[UUID]:
    rows = connection.execute(_SQL["accounted_deliveries"], {"delivery_id": deliveries})
    return {delivery_id for (delivery_id,) in rows}


def _insert_beside(
    connection: _Connection, statement: str, rows: Sequence[DeliveredReading]
) -> list[DeliveredReading]:
    if not rows:
        return []
    new = connection.execute(
        _SQL[statement],
        {
            "delivery_id": [d.delivery_id for d in rows],
            "device_id": [d.reading.device_id for d in rows],
            "timestamp": [d.reading.observed_at for d in rows],
            "received_at": [d.received_at for d in rows],
            "reading": [encode_reading(d.reading) for d in rows],
        },
    ).fetchall()
    ids = {delivery_id for (delivery_id,) in new}
    return [d for d in rows if d.delivery_id in ids]


def _why(error: Exception) -> str:
    """Return one line for people, without the value itself."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return type(error).__name__ if isinstance(error, UnicodeEncodeError) else str(error)
