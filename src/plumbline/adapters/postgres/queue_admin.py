"""What an operator does with dead-letter queues on PostgreSQL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue_statements import Row, channel, execute, message_of, span
from plumbline.codecs.queue_message import DELIVERY_ATTRIBUTE, decode
from plumbline.domain.command_event import Arrival, CommandEvent
from plumbline.domain.delivery import (
    UNATTRIBUTED,
    DeliveredEvent,
    DeliveredReading,
    Receipt,
    Refusal,
)
from plumbline.domain.ledger import Outcome, tally
from plumbline.domain.reading import is_device_id
from plumbline.errors import InvalidMessage, NotFound
from plumbline.ports import QueueMessage

_PURGE_CHUNK = 10_000
_NEVER_STORED = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What the account needs to know of a purged message."""

    delivery_id: UUID
    device_id: str
    observed_at: datetime


class PostgresQueueAdmin:
    """Looks at queues, moves and discards dead letters.

    Args:
        database: Raises QueueUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def peek(self, queue: str, limit: int) -> list[QueueMessage]:
        """Return the first messages, in flight or not, without receiving them.

        Raises:
            NotFound: No such queue.
            QueueUnavailable: The database cannot be reached.
        """
        with self._transaction() as cursor:
            found = execute(cursor, "find", name=queue)
            if not found:
                msg = f"no queue {queue!r}"
                raise NotFound(msg)
            ((queue_id, fifo),) = found
            rows = execute(cursor, "peek", queue_id=queue_id, limit=limit)
        return [message_of(row, fifo=fifo) for row in rows]

    def redrive(self, dead_letter_queue: str, *, message_ids: Sequence[str] | None = None) -> int:
        """Move messages back to their source queue, in order, as never received.

        Args:
            dead_letter_queue: Its name.
            message_ids: Only these; without it, all that are not in flight.

        Returns:
            How many were moved.

        Raises:
            NotFound: No dead-letter queue of that name.
            QueueUnavailable: The database cannot be reached; nothing was moved.
        """
        with self._transaction() as cursor:
            queue_id, source_id = _find_source(cursor, dead_letter_queue)
            execute(cursor, "lock_receiving", queue_id=queue_id)
            execute(cursor, "lock_sending", queue_id=source_id)
            execute(
                cursor,
                "redrive",
                queue_id=queue_id,
                source_id=source_id,
                message_ids=_texts(message_ids),
            )
            moved = cursor.rowcount
            execute(cursor, "notify", channel=channel(source_id))
        return moved

    def purge(self, dead_letter_queue: str, *, message_ids: Sequence[str] | None = None) -> int:
        """Delete messages for good and enter their deliveries in the ledger as discarded.

        A delivery that has an outcome already, or of which another message is in a queue, is not
        entered. A receipt is not discarded but entered in the ledger, where it was on its way to.

        Args:
            dead_letter_queue: Its name.
            message_ids: Only these; without it, all that are not in flight.

        Returns:
            How many were deleted.

        Raises:
            NotFound: No dead-letter queue of that name.
            QueueUnavailable: The database cannot be reached; what was deleted is accounted for.
        """
        purged = 0
        while True:
            with self._transaction() as cursor:
                execute(cursor, "lock_purging")
                queue_id, _ = _find_source(cursor, dead_letter_queue)
                execute(cursor, "lock_receiving", queue_id=queue_id)
                ids = [
                    row[0]
                    for row in execute(
                        cursor,
                        "choose_purged",
                        queue_id=queue_id,
                        message_ids=_texts(message_ids),
                        limit=_PURGE_CHUNK,
                    )
                ]
                if ids:
                    _account(cursor, execute(cursor, "purge", queue_id=queue_id, **span(ids)))
            purged += len(ids)
            if len(ids) < _PURGE_CHUNK:
                return purged

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[Row]]:
        with (
            self._database.connection() as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            execute(cursor, "prepare_session")
            yield cursor


def _find_source(cursor: psycopg.Cursor[Row], name: str) -> tuple[int, int]:
    found = execute(cursor, "find_source", name=name)
    if not found:
        msg = f"no dead-letter queue {name!r}"
        raise NotFound(msg)
    queue_id, source_id = found[0]
    return queue_id, source_id


def _texts(message_ids: Sequence[str] | None) -> list[str] | None:
    return None if message_ids is None else list(message_ids)


def _account(cursor: psycopg.Cursor[Row], purged: Sequence[Row]) -> None:
    """Enter what was purged in the ledger, in the purge's own transaction."""
    deliveries: dict[UUID, _Delivery] = {}
    for row in purged:
        content = _content(row)
        if isinstance(content, Receipt):
            execute(
                cursor,
                "record_receipt",
                batch_id=content.batch_id,
                messages=content.messages,
                counts=Jsonb(content.items),
            )
        elif content is not None:
            deliveries[content.delivery_id] = content
    settled = execute(
        cursor,
        "settle",
        delivery_ids=list(deliveries),
        device_ids=[delivery.device_id for delivery in deliveries.values()],
        observed=[delivery.observed_at for delivery in deliveries.values()],
    )
    discarded = [(delivery_id, deliveries[delivery_id].device_id) for (delivery_id,) in settled]
    for batch_id, counts in tally({Outcome.DISCARDED: discarded}).items():
        execute(cursor, "record_discarded", batch_id=batch_id, counts=Jsonb(counts))


def _content(row: Row) -> _Delivery | Receipt | None:
    """Read a purged message as far as it can be read: some are here because they cannot be."""
    message = message_of(row, fifo=False)
    try:
        content = decode(message)
    except InvalidMessage:
        return _unreadable(message)
    match content:
        case DeliveredReading() if DELIVERY_ATTRIBUTE in message.attributes:
            reading = content.reading
            return _Delivery(content.delivery_id, reading.device_id, reading.observed_at)
        case DeliveredEvent():
            return _Delivery(content.delivery_id, content.event.device_id, _NEVER_STORED)
        case Refusal() | CommandEvent(arrival=Arrival()):
            return _Delivery(content.delivery_id, content.device_id, _NEVER_STORED)
        case Receipt():
            return content
        case _:
            return None


def _unreadable(message: QueueMessage) -> _Delivery | None:
    try:
        delivery_id = UUID(message.attributes[DELIVERY_ATTRIBUTE])
    except (KeyError, ValueError):
        return None
    group_id = message.group_id or UNATTRIBUTED
    device_id = group_id if is_device_id(group_id) else UNATTRIBUTED
    return _Delivery(delivery_id, device_id, _NEVER_STORED)
