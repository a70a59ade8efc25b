"""The daily partitions of ``sensor_data``: which days are kept, created and dropped."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import errors as pg

from plumbline.adapters.postgres.queries import load
from plumbline.domain.delivery import DeliveredReading
from plumbline.domain.reading import MAX_AGE, MAX_AHEAD
from plumbline.domain.reason import Reason

_SQL = load("partitions.sql")

# Who checked the reading's time was another machine than the one whose clock says "today" here.
_CLOCK_TOLERANCE = timedelta(days=1)

# Most of what comes late comes within this time after the day's end; the rest makes stale.
_STILL_ARRIVING = timedelta(hours=1)

# A summary has 288 cells: with fewer than twice as many readings, these are read as quickly.
_DENSE_DAY = 576


@dataclass(frozen=True, slots=True)
class KeptDays:
    """The days (UTC) that may have a partition, both included."""

    oldest: date
    newest: date

    @classmethod
    def at(cls, now: datetime) -> "KeptDays":
        """Return the days kept at ``now``: a day is kept until all of it is past retention."""
        return cls(utc_day(now - MAX_AGE), utc_day(now + MAX_AHEAD + _CLOCK_TOLERANCE))


def is_missing_partition(error: Exception) -> bool:
    """Tell whether the database refused a row because its day has no partition.

    It is reported as a violated check, but of no named constraint.
    """
    return isinstance(error, pg.CheckViolation) and error.diag.constraint_name is None


@dataclass(frozen=True, slots=True)
class Provision:
    """What became of days without a partition.

    Attributes:
        missing: The days that had none.
        refused: Of these, the days that are not kept, and why they get none.
    """

    missing: frozenset[date]
    refused: Mapping[date, Reason]


def provide_partitions(
    connection: psycopg.Connection[Any], delivered: Iterable[DeliveredReading]
) -> Provision:
    """Create the partitions that the readings lack, where their days are kept."""
    days = sorted({utc_day(d.reading.observed_at) for d in delivered})
    missing = connection.execute(_SQL["missing_days"], {"days": days}).fetchall()
    refused: dict[date, Reason] = {}
    for day, now in missing:
        kept = KeptDays.at(now)
        if day < kept.oldest:
            refused[day] = Reason.TIMESTAMP_TOO_OLD
        elif day > kept.newest:
            refused[day] = Reason.TIMESTAMP_IN_FUTURE
        else:
            create_partitions(connection, [day])
    return Provision(frozenset(day for day, _ in missing), refused)


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


def summarise_days(
    connection: psycopg.Connection[Any], now: datetime, most: int
) -> dict[date, int]:
    """Summarise days that have ended, newest first, and again what is stale of them.

    A day whose lock is not to be had at once stays for the next time.

    Returns:
        By day that was summarised, how many devices were.
    """
    ended = utc_day(now - _STILL_ARRIVING)
    days = [day for day in partition_days(connection) if day < ended]
    found = connection.execute(_SQL["days_to_summarise"], {"days": days, "most": most})
    made = {}
    for (day,) in found.fetchall():
        try:
            row = connection.execute(
                _SQL["summarise_day"], {"day": day, "least_readings": _DENSE_DAY}
            ).fetchone()
        except (pg.LockNotAvailable, pg.DeadlockDetected):
            continue
        made[day] = 0 if row is None else row[0]
    return made


def partition_days(connection: psycopg.Connection[Any]) -> list[date]:
    """Return the days that have a partition, oldest first."""
    return [day for (day,) in connection.execute(_SQL["partition_days"])]


def utc_day(moment: datetime) -> date:
    """Return the day in UTC, whose partition holds the moment."""
    return moment.astimezone(UTC).date()
