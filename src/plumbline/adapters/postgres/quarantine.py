"""What an operator does with refused messages."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queries import load
from plumbline.domain.quarantine import QuarantinedMessage, QuarantineEntry
from plumbline.errors import NotFound

_SQL = load("quarantine.sql")


class PostgresQuarantine:
    """Looks at refused messages, replays and purges them; for one thread.

    Every method raises StoreUnavailable where the database cannot serve.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(
        self,
        *,
        device_id: str | None = None,
        reason: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[QuarantineEntry]:
        """Return entries, newest first.

        Args:
            device_id: Only of this device.
            reason: Only with this code.
            before: Only entries with a lower id: the next page after the last one's.
            limit: At most so many.
        """
        wanted = {"device_id": device_id, "reason": reason, "before": before, "limit": limit}
        with self._database.connection() as connection:
            return [_entry(row) for row in connection.execute(_SQL["list"], wanted)]

    def message(self, entry_id: int) -> QuarantinedMessage:
        """Return one entry with its bytes put together.

        Raises:
            NotFound: No such entry.
        """
        with self._database.connection() as connection:
            found = _messages(connection, [entry_id])
        if not found:
            msg = f"no quarantine entry {entry_id}"
            raise NotFound(msg)
        return found[0]

    @contextmanager
    def take_for_replay(self, entry_ids: Sequence[int]) -> Iterator[list[QuarantinedMessage]]:
        """Yield entries to send again, and mark them as replayed when the block ends well.

        Left out are those replayed before, those that another replay has taken, and incomplete
        ones. When the block raises, none is marked: sending again what was sent already brings
        only counted duplicates.

        Raises:
            NotFound: An id does not exist.
        """
        ids = sorted(set(entry_ids))
        with self._database.connection() as connection, connection.transaction():
            found = _messages(connection, ids)
            missing = set(ids) - {message.entry.entry_id for message in found}
            if missing:
                msg = "no quarantine entry " + ", ".join(map(str, sorted(missing)))
                raise NotFound(msg)
            rows = connection.execute(_SQL["lock_for_replay"], {"ids": ids})
            free = {entry_id for (entry_id,) in rows}
            taken = [m for m in found if m.entry.entry_id in free and m.entry.complete]
            yield taken
            replayed = [message.entry.entry_id for message in taken]
            connection.execute(_SQL["mark_replayed"], {"ids": replayed})

    def purge(
        self,
        entry_ids: Sequence[int] | None = None,
        *,
        device_id: str | None = None,
        reason: str | None = None,
    ) -> int:
        """Delete entries for good and return how many; they stay counted as quarantined.

        Args:
            entry_ids: Only these.
            device_id: Only of this device.
            reason: Only with this code.
        """
        wanted = {
            "ids": None if entry_ids is None else list(entry_ids),
            "device_id": device_id,
            "reason": reason,
        }
        with self._database.connection() as connection:
            row = connection.execute(_SQL["purge"], wanted).fetchone()
        return 0 if row is None else int(row[0])


def _messages(
    connection: psycopg.Connection[Any], entry_ids: Sequence[int]
) -> list[QuarantinedMessage]:
    rows = connection.execute(_SQL["show"], {"ids": list(entry_ids)})
    return [QuarantinedMessage(_entry(row[:-1]), row[-1]) for row in rows]


def _entry(row: tuple[Any, ...]) -> QuarantineEntry:
    values: list[Any] = [
        value.astimezone(UTC) if isinstance(value, datetime) else value for value in row
    ]
    return QuarantineEntry(*values)
