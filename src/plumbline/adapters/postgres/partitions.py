"""The daily partitions of ``sensor_data``: which days are kept, created and dropped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import errors as pg

from plumbline.adapters.postgres.queries import load
from plumbline.domain.delivery import DeliveredReading
from plumbline.domain.reading import MAX_AGE, MAX_AHEAD

_SQL = load("partitions.sql")

# Who checked the reading's time was another machine than the one whose clock says "today" here.
_CLOCK_TOLERANCE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class KeptDays:
    """The days (UTC) that may have a partition, both included."""

    oldest: date
    newest: date

    @classmethod
    def at(cls, now: datetime) -> "KeptDays":
        """Return the days kept at ``now``: a day is kept until all of it is past retention."""
        return cls(_day(now - MAX_AGE), _day(now + MAX_AHEAD + _CLOCK_TOLERANCE))


def is_missing_partition(error: Exception) -> bool:
    """Tell whether the database refused a row because its day has no partition.

    It is reported as a violated check, but of no named constraint.
    """
    return isinstance(error, pg.CheckViolation) and error.diag.constraint_name is None


def provide_partitions(
    connection: psycopg.Connection[Any], delivered: Iterable[DeliveredReading]
) -> KeptDays | None:
    """Create the partitions that the readings lack, where their days are kept.

    Returns:
        None if all have a place now; otherwise the kept days: readings of other days have none.
    """
    days = sorted({_day(d.reading.observed_at) for d in delivered})
    missing = connection.execute(_SQL["missing_days"], {"days": days}).fetchall()
    if not missing:
        return None
    kept = KeptDays.at(missing[0][1])
    wanted = [day for day, _ in missing if kept.oldest <= day <= kept.newest]
    create_partitions(connection, wanted)
    return kept if len(wanted) < len(missing) else None


def create_partitions(connection: psycopg.Connection[Any], days: Sequence[date]) -> list[date]:
    """Create the partitions that are missing and return their days."""
    created = []
    for day in days:
        row = connection.execute(_SQL["ensure_partition"], {"day": day}).fetchone()
        if row is not None and row[0]:
            created.append(day)
    return created


def drop_partition(connection: psycopg.Connection[Any], day: date) -> None:
    """Drop the day's partition, if it exists.

    Raises:
        psycopg.errors.LockNotAvailable: Readers or writers held it for too long; try again.
        psycopg.errors.DeadlockDetected: A writer waited for us as well; try again.
    """
    connection.execute(_SQL["drop_partition"], {"day": day})


def partition_days(connection: psycopg.Connection[Any]) -> list[date]:
    """Return the days that have a partition, oldest first."""
    return [day for (day,) in connection.execute(_SQL["partition_days"])]


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
