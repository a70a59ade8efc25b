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
    utc_day,
)
from plumbline.adapters.postgres.queries import load
from plumbline.domain.reading import MAX_AGE

_SQL = load("retention.sql")

# Longer than any queue keeps a message.
_DELIVERY_MEMORY = timedelta(days=30)

# Each attempt waits half a second for its lock; writers get their turn between two.
_DROP_ATTEMPTS = 20
_DROP_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one run removed, in partitions, rows and batches."""

    partitions: int
    duplicates: int
    conflicts: int
    quarantined: int
    batches_folded: int


class PostgresRetention:
    """Creates and drops partitions and removes what is past its time; for one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
                _drop(connection, day)
        return expired

    def prune(self, now: datetime) -> Pruned:
        """Remove all that is past its time, and fold the ledger.

        Readings, conflicts and quarantine are kept for 90 days; the memory of what was already
        accounted for, for 30.

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
            connection.execute(_SQL["prune_settled"], forgotten)
            connection.execute(_SQL["prune_folded"], forgotten)
        return Pruned(
            partitions=len(partitions),
            duplicates=duplicates,
            conflicts=conflicts,
            quarantined=quarantined[0][0],
            batches_folded=PostgresLedger(self._database).fold(now),
        )


def _drop(connection: psycopg.Connection, day: date) -> None:
    for attempt in range(1, _DROP_ATTEMPTS + 1):
        try:
            drop_partition(connection, day)
        except (pg.LockNotAvailable, pg.DeadlockDetected):
            if attempt == _DROP_ATTEMPTS:
                raise
            time.sleep(_DROP_PAUSE_S)
        else:
            return
