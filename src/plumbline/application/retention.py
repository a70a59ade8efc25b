"""Partitions ahead of the data, retention behind it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Protocol

from plumbline.ports import Clock

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

DAYS_AHEAD = 7
"""Partitions that exist beyond today: a week of missed runs costs nothing."""


class Housekeeping(Protocol):
    """The database side; every method raises StoreUnavailable where the database cannot serve."""

    def ensure_partitions(
        self, now: datetime, *, days_back: int, days_ahead: int
    ) -> Sequence[date]:
        """Create the missing daily partitions around today and return their days."""
        ...

    def summarise(self, now: datetime) -> int:
        """Summarise past days for long series and return how many."""
        ...

    def prune(self, now: datetime) -> "DataclassInstance":
        """Remove what is past its time, fold the ledger, and return the counts."""
        ...


class Retention:
    """Does the day's housekeeping."""

    def __init__(self, housekeeping: Housekeeping, clock: Clock) -> None:
        self._housekeeping = housekeeping
        self._clock = clock

    def run(self) -> dict[str, int]:
        """Create partitions, drop what is old, fold the ledger, summarise days; return counts.

        Raises:
            StoreUnavailable: Run again; what was done stays done.
        """
        now = self._clock.now()
        created = self._housekeeping.ensure_partitions(now, days_back=1, days_ahead=DAYS_AHEAD)
        removed: dict[str, int] = asdict(self._housekeeping.prune(now))
        summarised = self._housekeeping.summarise(now)
        return {"partitions_created": len(created), **removed, "days_summarised": summarised}
