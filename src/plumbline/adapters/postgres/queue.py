"""Queues with SQS semantics on PostgreSQL."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import msgspec
import psycopg
from psycopg import sql

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue_blocks import (
    MAX_MESSAGES,
    insert_block,
    messages_of,
    take_out_blocks,
    unpack_blocks,
)
from plumbline.adapters.postgres.queue_leases import withdraw
from plumbline.adapters.postgres.queue_statements import Row, channel, execute, message_of, span
from plumbline.adapters.sending import screen
from plumbline.errors import ConfigurationError, NotFound, QueueUnavailable
from plumbline.ports import OutgoingMessage, QueueDepth, QueueMessage, SendFailure
from plumbline.topology import QueueSpec

# One transaction of a send; what exceeds it goes into the next.
_CHUNK_MESSAGES = 10_000
_CHUNK_CHARACTERS = 16_000_000

# A receive ends behind this: thousands of large messages would fill the consumer's memory.
_RECEIVE_BYTES = 16_000_000

# In one block; larger messages are rows, of which each is read when it is received.
_BLOCK_CHARACTERS = 2_000_000

# Each send removes this many times as many expired deduplication ids as it adds, at least
# _MIN_FORGOTTEN: the table stays at what five minutes bring, and no send pays for many others.
_FORGET_FACTOR = 2
_MIN_FORGOTTEN = 100

_EVER = datetime.min.replace(tzinfo=UTC)

_encode_attributes = msgspec.json.Encoder().encode


def declare_queues(
    database: Database, topology_queues: Sequence[QueueSpec], *, local: bool = True
) -> None:
    """Create or update the queues and their dead-letter queues; safe to repeat.

    Args:
        database: With the schema applied.
        topology_queues: The queues; what else is in the database stays.
        local: Use the visibility timeouts for one machine.

    Raises:
        TransientError: As given to ``database``.
    """
    with (
        database.connection() as connection,
        connection.transaction(),
        connection.cursor() as cursor,
    ):
        execute(cursor, "lock_declaring")
        for spec in topology_queues:
            timeout_s = spec.local_visibility_timeout_s if local else spec.visibility_timeout_s
            for name, dead_letter_queue, maximum in (
                (spec.dead_letter_queue, None, None),
                (spec.name, spec.dead_letter_queue, spec.max_receive_count),
            ):
                row = {
                    "name": name,
                    "fifo": spec.fifo,
                    "visibility_timeout_s": timeout_s,
                    "max_receive_count": maximum,
                    "dead_letter_queue": dead_letter_queue,
                }
                execute(cursor, "declare_update", **row)
                if not cursor.rowcount:
                    execute(cursor, "declare_insert", **row)


class PostgresQueue:
    """One queue; for one thread, as its database is.

    Args:
        database: Raises QueueUnavailable; may be shared with other queues of the thread.
        name: As declared.
        fifo: As declared.
        holder: Who receives; ``release`` gives back what a holder had when it died.
        block_from: How many messages sent together are kept as one row; None keeps all apart.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        *,
        fifo: bool,
        holder: str = "",
        block_from: int | None = None,
    ) -> None:
        self.name = name
        self.fifo = fifo
        self._database = database
        self._holder = holder
        self._block_from = block_from
        self._connection: psycopg.Connection | None = None
        self._queue_id = 0
        self._first_id = 0
        self._forgotten_until = _EVER
        self._listening = False

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        """Send in order; see ports.Queue."""
        accepted, failures = screen(messages, fifo=self.fifo)
        for chunk in _chunks([messages[index] for index in accepted]):
            with self._transaction() as cursor:
                execute(cursor, "lock_sending", queue_id=self._queue_id)
                self._insert(cursor, chunk)
            self._wake()
        return failures

    def receive(
        self, max_messages: int, *, wait_s: float = 0.0, visibility_s: float | None = None
    ) -> list[QueueMessage]:
        """Receive, waiting for a notification or the end of a lease; see ports.Queue."""
        deadline_s = time.monotonic() + wait_s
        with self._attached() as connection:
            if wait_s > 0 and not self._listening:
                name = sql.Identifier(channel(self._queue_id))
                connection.execute(sql.SQL("LISTEN {}").format(name))
                self._listening = True
            while True:
                if self._listening:  # what was announced until now, this attempt will see
                    _wait(connection, 0)
                messages = self._pick(max_messages, visibility_s)
                left_s = deadline_s - time.monotonic()
                if messages or left_s <= 0:
                    return messages
                with connection.cursor() as cursor:
                    ((lease_end_s,),) = execute(cursor, "next_lease_end", queue_id=self._queue_id)
                _wait(connection, left_s if lease_end_s is None else min(left_s, lease_end_s))

    def delete(self, receipt_handles: Sequence[str]) -> list[str]:
        """Delete received messages and return the expired handles; see ports.Queue."""
        with self._transaction() as cursor:
            taken, expired = withdraw(cursor, self._queue_id, receipt_handles)
            for ids in taken:
                blocks, rows = take_out_blocks(cursor, self._queue_id, ids, whole=True)
                if blocks:
                    execute(cursor, "delete_blocks", queue_id=self._queue_id, first_ids=blocks)
                if rows:
                    execute(cursor, "delete_messages", queue_id=self._queue_id, **span(rows))
        if self.fifo:  # their groups may go on
            self._wake()
        return expired

    def change_visibility(self, receipt_handles: Sequence[str], visibility_s: float) -> None:
        """Give received messages another visibility timeout; expired handles change nothing."""
        with self._transaction() as cursor:
            withdraw(cursor, self._queue_id, receipt_handles, visibility_s=visibility_s)
        self._wake()

    def depth(self) -> QueueDepth:
        """Return the exact counts, by counting; see ports.Queue."""
        with self._attached() as connection, connection.cursor() as cursor:
            ((visible, in_flight, oldest_age_s),) = execute(
                cursor, "depth", queue_id=self._queue_id
            )
        return QueueDepth(visible, in_flight, oldest_age_s)

    def release(self, holder: str) -> None:
        """Make visible at once what a holder that has died received and did not delete.

        It counts as a receive that ended.

        Raises:
            QueueUnavailable: The database cannot be reached.
        """
        with self._transaction() as cursor:
            execute(cursor, "release", queue_id=self._queue_id, holder=holder)
        self._wake()

    def forget_deduplication(self, limit: int) -> int:
        """Remove up to ``limit`` deduplication ids past their five minutes; return how many.

        Every send does so in proportion; this is for what a burst left behind.

        Raises:
            QueueUnavailable: The database cannot be reached.
        """
        with self._transaction() as cursor:
            return self._forget(cursor, _EVER, limit)

    @contextmanager
    def _attached(self) -> Iterator[psycopg.Connection]:
        with self._database.connection() as connection:
            if connection is not self._connection:
                with connection.cursor() as cursor:
                    execute(cursor, "prepare_session")
                    found = execute(cursor, "find", name=self.name)
                if not found:
                    msg = f"no queue {self.name!r} in the database"
                    raise NotFound(msg)
                ((queue_id, fifo),) = found
                if fifo != self.fifo:
                    msg = f"queue {self.name!r} was declared with fifo={fifo}"
                    raise ConfigurationError(msg)
                # Another connection may mean another database: nothing known of the old one holds.
                self._queue_id, self._first_id = queue_id, 0
                self._forgotten_until, self._listening = _EVER, False
                self._connection = connection
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[Row]]:
        with (
            self._attached() as connection,
            connection.transaction(),
            connection.cursor(binary=True) as cursor,
        ):
            yield cursor

    def _wake(self) -> None:
        """Tell the waiting consumers that something became visible; it is committed already.

        Not in the transaction that did it: all transactions that notify commit one after the other,
        each until it is on disk. Where the word is lost with the server, a consumer's poll ends.
        """
        with suppress(QueueUnavailable), self._database.connection() as connection:
            name = sql.Identifier(channel(self._queue_id))
            statement = sql.SQL("SET LOCAL synchronous_commit = off; NOTIFY {}")
            connection.execute(statement.format(name), prepare=False)

    def _insert(self, cursor: psycopg.Cursor[Row], messages: Sequence[OutgoingMessage]) -> None:
        if self.fifo:
            first: dict[str | None, OutgoingMessage] = {}
            for message in messages:
                first.setdefault(message.deduplication_id, message)
            messages = list(first.values())
        if self._block_from is None:
            self._insert_rows(cursor, messages)
            return
        for begin in range(0, len(messages), MAX_MESSAGES):
            part = messages[begin : begin + MAX_MESSAGES]
            if (
                len(part) < self._block_from
                or sum(len(message.body) for message in part) > _BLOCK_CHARACTERS
                or not insert_block(cursor, self._queue_id, part, fifo=self.fifo)
            ):
                self._insert_rows(cursor, part)

    def _insert_rows(
        self, cursor: psycopg.Cursor[Row], messages: Sequence[OutgoingMessage]
    ) -> None:
        columns: dict[str, object] = {
            "queue_id": self._queue_id,
            "attributes": [_encode_attributes(m.attributes).decode() for m in messages],
            "bodies": [m.body for m in messages],
        }
        if not self.fifo:
            execute(cursor, "insert_standard", **columns)
            return
        columns["group_ids"] = [m.group_id for m in messages]
        columns["deduplication_ids"] = [m.deduplication_id for m in messages]
        execute(cursor, "insert_fifo", **columns)
        limit = max(_MIN_FORGOTTEN, _FORGET_FACTOR * len(messages))
        self._forget(cursor, self._forgotten_until, limit)

    def _forget(self, cursor: psycopg.Cursor[Row], since: datetime, limit: int) -> int:
        ((forgotten, self._forgotten_until),) = execute(
            cursor, "forget_deduplication", queue_id=self._queue_id, since=since, limit=limit
        )
        return int(forgotten)

    def _pick(self, limit: int, visibility_s: float | None) -> list[QueueMessage]:
        with self._transaction() as cursor:
            execute(cursor, "lock_receiving", queue_id=self._queue_id)
            ended = execute(cursor, "end_leases", queue_id=self._queue_id)
            if ended:
                self._return(cursor, ended)
            parameters = {
                "queue_id": self._queue_id,
                "fifo": self.fifo,
                "first_id": self._first_id,
                "holder": self._holder,
                "visibility_s": visibility_s,
                "max_bytes": _RECEIVE_BYTES,
            }
            rows = execute(cursor, "pick_in_order", limit=limit, **parameters)
            if not rows:
                return self._pick_by_group(cursor, limit, parameters)
        self._first_id = rows[0][-1]
        messages: list[QueueMessage] = []
        for row in rows:
            if row[0] is None:
                messages.append(message_of(row[1:-1], fifo=self.fifo))
            else:
                messages += messages_of(row, fifo=self.fifo)
        return messages

    def _pick_by_group(
        self, cursor: psycopg.Cursor[Row], limit: int, parameters: Mapping[str, object]
    ) -> list[QueueMessage]:
        """Lease single messages, past the groups that are busy; blocks become rows for it."""
        if self.fifo:
            leased = execute(cursor, "leased_blocks", queue_id=self._queue_id)
            unpack_blocks(cursor, self._queue_id, [first_id for (first_id,) in leased])
        messages: list[QueueMessage] = []
        while True:
            rows = execute(cursor, "pick", limit=limit - len(messages), **parameters)
            messages += [message_of(row, fifo=self.fifo) for row in rows]
            size = sum(len(message.body) for message in messages)
            if len(messages) == limit or size >= _RECEIVE_BYTES:
                return messages
            block = execute(cursor, "first_free_block", queue_id=self._queue_id)
            if not block:
                return messages
            unpack_blocks(cursor, self._queue_id, block[0])

    def _return(self, cursor: psycopg.Cursor[Row], ended: Sequence[Row]) -> None:
        """Count the receives of ended leases; move what had its maximum to the dead letters."""
        returned: list[int] = []
        for received_at, ids in ended:
            take_out_blocks(cursor, self._queue_id, ids, whole=False)
            execute(
                cursor,
                "count_receive",
                queue_id=self._queue_id,
                received_at=received_at,
                **span(ids),
            )
            returned += ids
        for (dead_letter_queue_id,) in execute(
            cursor, "dead_letter_queue", queue_id=self._queue_id
        ):
            execute(cursor, "lock_sending", queue_id=dead_letter_queue_id)
            execute(
                cursor,
                "move_exhausted",
                queue_id=self._queue_id,
                dead_letter_queue_id=dead_letter_queue_id,
                **span(sorted(returned)),
            )


def _chunks(messages: Sequence[OutgoingMessage]) -> Iterator[list[OutgoingMessage]]:
    chunk: list[OutgoingMessage] = []
    characters = 0
    for message in messages:
        if chunk and (
            len(chunk) == _CHUNK_MESSAGES or characters + len(message.body) > _CHUNK_CHARACTERS
        ):
            yield chunk
            chunk, characters = [], 0
        chunk.append(message)
        characters += len(message.body)
    if chunk:
        yield chunk


def _wait(connection: psycopg.Connection, timeout_s: float) -> None:
    """Wait for a notification, and take all that are there."""
    for _ in connection.notifies(timeout=max(timeout_s, 0.0), stop_after=1):
        pass
