"""From the database to the cache."""

from contextlib import closing
from dataclasses import dataclass

from plumbline.ports import Clock, StatusCache, StatusSource


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one run copied.

    Attributes:
        devices: Statuses read from the database.
        written: Of these, written; the others were newer in the cache.
    """

    devices: int
    written: int


class Sync:
    """Copies device status and fleet statistics."""

    def __init__(self, source: StatusSource, cache: StatusCache, clock: Clock) -> None:
        self._source = source
        self._cache = cache
        self._clock = clock

    def run(self) -> SyncReport:
        """Copy everything once.

        ``synced_at`` is the time before the entry was read from the database, so an entry is never
        fresher than it says.

        Raises:
            StoreUnavailable, CacheUnavailable: Run again; what was copied stays right.
        """
        synced_at = self._clock.now()
        devices = written = 0
        with closing(self._source.device_statuses()) as chunks:
            for chunk in chunks:
                devices += len(chunk)
                written += self._cache.put_statuses(chunk, synced_at)
        counted_at = self._clock.now()  # not the start: many devices take their time
        self._cache.put_statistics(self._source.fleet_statistics(counted_at), counted_at)
        return SyncReport(devices, written)
