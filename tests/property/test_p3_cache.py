"""Properties 3.1 and 3.2: after a sync the cache says what the database says, for ten minutes."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plumbline.adapters.clock import SystemClock
from plumbline.adapters.redis import RedisStatusCache
from plumbline.application.sync import Sync
from plumbline.domain.reading import Status, format_time
from store_world import NOON, World, deliver, open_world, reading

OLDEST = timedelta(minutes=10)
_CLOCK_RESOLUTION = timedelta(seconds=1)

# Both servers are shared by the examples of a test, and emptied for each.
SHARED_SERVERS = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

READINGS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 5_000_000), st.sampled_from(Status)),
    max_size=8,
)


@dataclass(frozen=True, slots=True)
class Site:
    """Database, cache and the sync between them."""

    world: World
    cache: RedisStatusCache
    client: redis.Redis
    sync: Sync

    def empty(self) -> None:
        """Forget everything."""
        self.world.query("TRUNCATE sensor_data, device_status, reading_duplicate, reading_conflict")
        self.client.flushall()

    def store(self, rows: list[tuple[str, int, Status]]) -> None:
        """Store readings: device, microseconds after noon, status."""
        self.world.persist(
            *deliver(
                *(
                    reading(device, NOON + timedelta(microseconds=at), status=status)
                    for device, at, status in rows
                )
            )
        )

    def cached(self) -> dict[str, dict[str, Any]]:
        """Return every entry of the cache by key."""
        keys = cast("list[str]", self.client.keys())
        return {key: json.loads(cast("str", self.client.get(key))) for key in keys}


@pytest.fixture
def site(database_url: str, redis_url: str) -> Iterator[Site]:
    with ExitStack() as stack:
        world = stack.enter_context(open_world(database_url))
        cache = RedisStatusCache(redis_url)
        stack.callback(cache.close)
        client = stack.enter_context(redis.Redis.from_url(redis_url, decode_responses=True))
        yield Site(world, cache, client, Sync(world.statuses, cache, SystemClock()))


@SHARED_SERVERS
@given(rounds=st.lists(st.tuples(READINGS, st.booleans()), min_size=1, max_size=4))
def test_p3_1_after_a_sync_the_cache_equals_the_database(
    site: Site, rounds: list[tuple[list[tuple[str, int, Status]], bool]]
) -> None:
    """Whatever was stored in between, and also where the cache has lost everything."""
    site.empty()
    for rows, lost in rounds:
        site.store(rows)
        if lost:
            site.client.flushall()
        site.sync.run()
        for device_id, last_seen, status, tilt_angle, battery_level in site.world.query(
            "SELECT device_id, last_seen, current_status, tilt_angle, battery_level"
            " FROM device_status"
        ):
            cached = dict(site.cache.get_status(device_id) or {})
            del cached["synced_at"]
            assert cached == {
                "device_id": device_id,
                "last_seen": format_time(last_seen),
                "current_status": status,
                "tilt_angle": tilt_angle,
                "battery_level": battery_level,
            }
        devices = site.world.value("SELECT count(*) FROM device_status")
        statistics = site.cache.get_statistics() or {}
        assert statistics["devices"] == sum(statistics["by_status"].values()) == devices
        assert len(site.cached()) == devices + 1


def test_p3_1_a_sync_that_read_earlier_and_writes_later_changes_nothing(site: Site) -> None:
    """Two syncs may overlap; the newer status stays."""
    site.store([("a", 0, Status.NORMAL)])
    slow = list(site.world.statuses.device_statuses())
    site.store([("a", 1, Status.ALARM)])
    site.sync.run()
    for chunk in slow:
        assert site.cache.put_statuses(chunk, datetime.now(UTC)) == 0
    assert (site.cache.get_status("a") or {})["current_status"] == "alarm"


@SHARED_SERVERS
@given(rows=READINGS, elapsed_s=st.integers(0, 290))
def test_p3_2_no_entry_outlives_ten_minutes(
    site: Site, rows: list[tuple[str, int, Status]], elapsed_s: int
) -> None:
    """Each entry says when it was synced, and expires before that is ten minutes ago."""
    site.empty()
    site.store(rows)
    before = datetime.now(UTC)
    site.sync.run()
    for key in site.cached():
        site.client.expire(key, site.client.ttl(key) - elapsed_s)
    site.sync.run()
    entries = site.cached()
    assert len(entries) == len({device for device, _, _ in rows}) + 1
    for key, entry in entries.items():
        synced_at = datetime.fromisoformat(entry["synced_at"])
        assert before <= synced_at <= datetime.now(UTC)
        remaining = timedelta(milliseconds=site.client.pttl(key))
        assert timedelta(seconds=290) < remaining  # a sync renews all, also of silent devices
        assert datetime.now(UTC) + remaining - synced_at <= OLDEST + _CLOCK_RESOLUTION
