"""Housekeeping of the database: partitions ahead, old data behind, the ledger folded."""

import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import psycopg
from psycopg import errors as pg

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.ledger import PostgresLedger
from plumbline.adapters.postgres.partitions import (
    KeptDays,
    create_partitions,
    drop_partition,
    partition_days,
    summarise_days,
    utc_day,
)
from plumbline.adapters.postgres.queries import load
from plumbline.domain.reading import MAX_AGE

_SQL = load("retention.sql")

# Longer than any queue keeps a message.
_DELIVERY_MEMORY = timedelta(days=30)

# Each attempt waits half a second for its lock; writers get their turn between two.
DROP_ATTEMPTS = 20
_DROP_PAUSE_S = 0.2

# In one run, newest first: each takes a tenth of a second, with ten million readings a few seconds.
_DAYS_SUMMARISED = 15


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one run removed, in partitions, rows and batches."""

    partitions: int
    duplicates: int
    conflicts: int
    quarantined: int
    commands: int
    batches_folded: int


class PostgresRetention:
    """Creates and drops partitions and removes what is past its time; for one thread.

    Args:
        database: Raises StoreUnavailable.
        drop_attempts: How often to try for the lock on a partition that is in use.
    """

    def __init__(self, database: Database, drop_attempts: int = DROP_ATTEMPTS) -> None:
        self._database = database
        self._drop_attempts = drop_attempts

    def ensure_partitions(self, now: datetime, *, days_back: int, days_ahead: int) -> list[date]:
        """Create the missing partitions around today (UTC) and return their days.

        Raises:
            StoreUnavailable: Some may have been created.
        """
        today = utc_day(now)
        days = [today + timedelta(days=n) for n in range(-days_back, days_ahead + 1)]
        with self._database.connection() as connection:
            return create_partitions(connection, days)

    def drop_partitions(self, now: datetime) -> list[date]:
        """Drop the partitions of days that are past retention as a whole; return the days.

        Writers are held up for a moment each; nothing waits long, and nothing deadlocks.

        Raises:
            StoreUnavailable: Also where a partition stays in use; some may have been dropped.
        """
        oldest = KeptDays.at(now).oldest
        with self._database.connection() as connection:
            expired = [day for day in partition_days(connection) if day < oldest]
            for day in expired:
                self._drop(connection, day)
        return expired

    def summarise(self, now: datetime) -> int:
        """Summarise past days for long series, and again what came late; return how many days.

        Raises:
            StoreUnavailable: Run again; what was done stays done.
        """
        with self._database.connection() as connection:
            return len(summarise_days(connection, now, _DAYS_SUMMARISED))

    def prune(self, now: datetime) -> Pruned:
        """Remove all that is past its time, and fold the ledger.

        Readings, events, conflicts, quarantine and commands that have ended are kept for 90 days;
        the memory of what was already accounted for, for 30.

        Raises:
            StoreUnavailable: Run again; what was removed stays removed.
        """
        partitions = self.drop_partitions(now)
        old = {"before": now - MAX_AGE}
        forgotten = {"before": now - _DELIVERY_MEMORY}
        with self._database.connection() as connection:
            duplicates = connection.execute(_SQL["prune_duplicates"], forgotten).rowcount
            conflicts = connection.execute(_SQL["prune_conflicts"], old).rowcount
            quarantined = connection.execute(_SQL["prune_quarantine"], old).fetchall()
            connection.execute(_SQL["prune_events"], old)
            commands = connection.execute(_SQL["prune_commands"], old).rowcount
            connection.execute(_SQL["prune_settled"], forgotten)
            connection.execute(_SQL["prune_folded"], forgotten)
        return Pruned(
            partitions=len(partitions),
            duplicates=duplicates,
            conflicts=conflicts,
            quarantined=quarantined[0][0],
            commands=commands,
            batches_folded=PostgresLedger(self._database).fold(now),
        )

    def _drop(self, connection: psycopg.Connection, day: date) -> None:
        for attempt in range(1, self._drop_attempts + 1):
            try:
                drop_partition(connection, day)
            except (pg.LockNotAvailable, pg.DeadlockDetected):
                if attempt == self._drop_attempts:
                    raise
                time.sleep(_DROP_PAUSE_S)
            else:
                return
