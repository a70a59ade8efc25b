"""The queues' statements, and the messages made of their rows."""

from typing import Any, TypeAlias

import msgspec
import psycopg

from plumbline.adapters.postgres.queries import load
from plumbline.ports import QueueMessage

_SQL = load("queue.sql")
_decode_attributes = msgspec.json.Decoder(dict[str, str]).decode

Row: TypeAlias = tuple[Any, ...]


def execute(cursor: psycopg.Cursor[Row], statement: str, **parameters: object) -> list[Row]:
    """Run a statement of ``queue.sql`` and return its rows.

    Never prepared: a plan made while a queue was short would be kept when it is long.
    """
    cursor.execute(_SQL[statement], parameters, prepare=False)
    return cursor.fetchall() if cursor.description else []


def channel(queue_id: int) -> str:
    """Return the notification channel that tells of messages that became visible."""
    return f"plumbline_queue_{queue_id}"


def span(ids: list[int]) -> dict[str, object]:
    """Return the parameters that name messages by their ascending ids, at least one."""
    return {"first_id": ids[0], "last_id": ids[-1], "ids": ids}


def message_of(row: Row, *, fifo: bool) -> QueueMessage:
    """Make a message of a row of ``pick``; without a lease it has no receipt handle."""
    receipt_id, position, message_id, body, attributes, group_id, deduplication_id, *rest = row
    sent_at, first_received_at, receive_count = rest
    return QueueMessage(
        message_id=message_id,
        receipt_handle=f"{receipt_id}:{position}" if receipt_id else "",
        body=body,
        attributes=_decode_attributes(attributes),
        group_id=group_id,
        deduplication_id=deduplication_id,
        sequence_number=str(position) if fifo else None,
        sent_at=sent_at,
        first_received_at=first_received_at,
        receive_count=receive_count,
    )
