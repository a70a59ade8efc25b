"""What the sync writes into the cache, and how old it says it is."""

from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fakes import FakeClock
from plumbline.application.sync import Sync
from plumbline.errors import CacheUnavailable
from plumbline.ports import DeviceStatus, FleetStatistics

NOW = datetime(2026, 1, 18, 10, 30, tzinfo=UTC)


class SlowSource:
    """Takes nine minutes for its statuses."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def device_statuses(self) -> Generator[Sequence[DeviceStatus], None, None]:
        for number in range(3):
            self._clock.advance(180)
            yield [DeviceStatus(f"d{number}", "normal", NOW, 1.5, None)]

    def fleet_statistics(self, now: datetime) -> FleetStatistics:
        assert now == NOW + timedelta(minutes=9)
        return FleetStatistics(3, {"normal": 3}, 0, "d0", NOW)


class Cache:
    def __init__(self) -> None:
        self.statuses: dict[str, datetime] = {}
        self.statistics: list[datetime] = []

    def put_statuses(self, statuses: Sequence[DeviceStatus], synced_at: datetime) -> int:
        self.statuses |= {status.device_id: synced_at for status in statuses}
        return len(statuses) - 1

    def put_statistics(self, statistics: FleetStatistics, synced_at: datetime) -> None:
        del statistics
        self.statistics.append(synced_at)

    def get_status(self, device_id: str) -> Mapping[str, Any] | None:
        raise NotImplementedError

    def get_statistics(self) -> Mapping[str, Any] | None:
        raise NotImplementedError


class FullCache(Cache):
    """Takes nothing."""

    def put_statuses(self, statuses: Sequence[DeviceStatus], synced_at: datetime) -> int:
        del statuses, synced_at
        raise CacheUnavailable


class OpenSource(SlowSource):
    """Knows whether its reader is done with it."""

    is_open = False

    def device_statuses(self) -> Generator[Sequence[DeviceStatus], None, None]:
        self.is_open = True
        try:
            yield from super().device_statuses()
        finally:
            self.is_open = False


def test_a_run_that_the_cache_stops_gives_the_snapshot_back_at_once() -> None:
    """Left to the collector, a database that is away by then would be an error of nobody."""
    source = OpenSource(FakeClock(NOW))
    with pytest.raises(CacheUnavailable) as raised:
        Sync(source, FullCache(), FakeClock(NOW)).run()
    assert not source.is_open, raised


def test_p3_2_a_slow_sync_stamps_each_entry_with_the_time_it_was_read() -> None:
    """Statistics stamped with the start of the run would be too old when they are written."""
    clock, cache = FakeClock(NOW), Cache()
    report = Sync(SlowSource(clock), cache, clock).run()
    assert cache.statuses == dict.fromkeys(["d0", "d1", "d2"], NOW)
    assert cache.statistics == [NOW + timedelta(minutes=9)]
    assert (report.devices, report.written) == (3, 0)
