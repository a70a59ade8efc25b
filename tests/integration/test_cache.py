"""The status cache on Redis."""

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis

from plumbline.adapters.redis import RedisStatusCache
from plumbline.errors import CacheUnavailable
from plumbline.local.servers.redis import RedisServer
from plumbline.ports import DeviceStatus, FleetStatistics

SEEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SYNCED = SEEN + timedelta(seconds=10)
STATISTICS = FleetStatistics(2, {"normal": 1, "alarm": 1}, 17, "dev-2", SEEN)


@pytest.fixture
def cache(redis_url: str) -> Iterator[RedisStatusCache]:
    opened = RedisStatusCache(redis_url)
    yield opened
    opened.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as opened:
        yield opened


def status(device_id: str = "dev-1", last_seen: datetime = SEEN, tilt: float = 1.5) -> DeviceStatus:
    return DeviceStatus(device_id, "normal", last_seen, tilt, None)


def test_a_status_is_json_under_its_key_for_five_minutes(
    cache: RedisStatusCache, client: redis.Redis
) -> None:
    assert cache.put_statuses([status()], SYNCED) == 1
    assert json.loads(client.get("device:dev-1:status") or "") == {
        "device_id": "dev-1",
        "current_status": "normal",
        "last_seen": "2026-01-02T03:04:05Z",
        "tilt_angle": 1.5,
        "battery_level": None,
        "synced_at": "2026-01-02T03:04:15Z",
    }
    assert 295 <= client.ttl("device:dev-1:status") <= 300


def test_statistics_are_json_for_ten_minutes(cache: RedisStatusCache, client: redis.Redis) -> None:
    cache.put_statistics(STATISTICS, SYNCED)
    assert cache.get_statistics() == {
        "devices": 2,
        "by_status": {"normal": 1, "alarm": 1},
        "readings_last_hour": 17,
        "stalest_device_id": "dev-2",
        "stalest_last_seen": "2026-01-02T03:04:05Z",
        "synced_at": "2026-01-02T03:04:15Z",
    }
    assert 595 <= client.ttl("stats:fleet") <= 600


def test_statistics_of_no_devices(cache: RedisStatusCache) -> None:
    cache.put_statistics(FleetStatistics(0, {}, 0, None, None), SYNCED)
    assert (cache.get_statistics() or {})["stalest_last_seen"] is None


def test_what_is_not_there_is_none(cache: RedisStatusCache) -> None:
    assert cache.get_status("dev-1") is None
    assert cache.get_statistics() is None
    assert cache.put_statuses([], SYNCED) == 0


def test_an_expired_status_is_none(cache: RedisStatusCache, client: redis.Redis) -> None:
    cache.put_statuses([status()], SYNCED)
    client.pexpire("device:dev-1:status", 0)
    assert cache.get_status("dev-1") is None


@pytest.mark.parametrize(
    "newer",
    [
        SEEN + timedelta(microseconds=1),
        SEEN + timedelta(microseconds=100_000),
        SEEN + timedelta(seconds=1),
        SEEN + timedelta(days=30),
        SEEN.replace(year=2100),
    ],
)
def test_an_older_status_never_replaces_a_newer_one(
    cache: RedisStatusCache, newer: datetime
) -> None:
    """With and without a fraction of a second: as plain text, ``05Z`` sorts behind ``05.1Z``."""
    assert cache.put_statuses([status(last_seen=newer, tilt=2.0)], SYNCED) == 1
    assert cache.put_statuses([status(), status("dev-2")], SYNCED) == 1
    assert (cache.get_status("dev-1") or {})["tilt_angle"] == 2.0
    assert cache.put_statuses([status()], SYNCED) == 0


def test_a_status_of_the_same_moment_is_written_anew(
    cache: RedisStatusCache, client: redis.Redis
) -> None:
    """Otherwise the entry of a silent device would expire although the database has it."""
    cache.put_statuses([status()], SYNCED)
    client.expire("device:dev-1:status", 10)
    later = SYNCED + timedelta(minutes=1)
    assert cache.put_statuses([status()], later) == 1
    assert client.ttl("device:dev-1:status") > 290
    assert (cache.get_status("dev-1") or {})["synced_at"] == "2026-01-02T03:05:15Z"


@pytest.mark.parametrize("rubbish", ["", "{", "[]", "null", '{"last_seen": 5}', '{"a": 1}'])
def test_rubbish_in_the_cache_is_overwritten(
    cache: RedisStatusCache, client: redis.Redis, rubbish: str
) -> None:
    client.set("device:dev-1:status", rubbish)
    assert cache.put_statuses([status()], SYNCED) == 1
    assert (cache.get_status("dev-1") or {})["tilt_angle"] == 1.5


@pytest.mark.parametrize("rubbish", ["{", "[]", "null"])
def test_rubbish_is_never_returned(
    cache: RedisStatusCache, client: redis.Redis, rubbish: str
) -> None:
    """Whoever reads goes to the database."""
    client.set("stats:fleet", rubbish)
    with pytest.raises(CacheUnavailable):
        cache.get_statistics()


def test_a_key_of_another_type_is_unavailable(cache: RedisStatusCache, client: redis.Redis) -> None:
    client.lpush("device:dev-1:status", "x")
    with pytest.raises(CacheUnavailable):
        cache.get_status("dev-1")
    with pytest.raises(CacheUnavailable):
        cache.put_statuses([status()], SYNCED)


def test_the_script_survives_a_flush(cache: RedisStatusCache, client: redis.Redis) -> None:
    cache.put_statuses([status()], SYNCED)
    client.flushall()
    client.script_flush()
    assert cache.put_statuses([status()], SYNCED) == 1


def test_a_server_that_is_not_there_is_unavailable() -> None:
    cache = RedisStatusCache("redis://127.0.0.1:1/0")
    with pytest.raises(CacheUnavailable):
        cache.get_status("dev-1")
    with pytest.raises(CacheUnavailable):
        cache.put_statuses([status()], SYNCED)
    with pytest.raises(CacheUnavailable):
        cache.put_statistics(STATISTICS, SYNCED)
    cache.close()


def test_a_server_that_does_not_answer_is_unavailable_in_seconds() -> None:
    """A page must not wait longer for the cache than the database would take."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = RedisStatusCache(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        begun = time.monotonic()
        with pytest.raises(CacheUnavailable):
            cache.get_status("dev-1")
        assert time.monotonic() - begun < 3.5
        cache.close()


def test_a_connection_that_the_server_closed_is_replaced_unnoticed(
    cache: RedisStatusCache, client: redis.Redis
) -> None:
    cache.put_statuses([status()], SYNCED)
    client.client_kill_filter(_type="normal", skipme=True)
    assert cache.get_status("dev-1") is not None


def test_a_server_that_was_killed_serves_again_without_a_new_client(
    cache: RedisStatusCache, redis_server: RedisServer
) -> None:
    cache.put_statuses([status()], SYNCED)
    redis_server.kill()
    try:
        with pytest.raises(CacheUnavailable):
            cache.get_status("dev-1")
    finally:
        redis_server.start()
        redis_server.wait_ready(30)
    assert cache.put_statuses([status()], SYNCED) == 1
