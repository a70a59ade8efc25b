"""What chaos sees in the cache: what moves back, but for what was taken out of it meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest
import redis
from proofs.chaos.watch import CacheWatch, History, empty_cache

from plumbline.adapters.redis import RedisStatusCache
from plumbline.adapters.redis_entries import status_key
from plumbline.ports import DeviceStatus

NOW = datetime.now(UTC)
NEWER, OLDER = NOW - timedelta(minutes=1), NOW - timedelta(minutes=2)


def put(url: str, last_seen: datetime) -> None:
    cache = RedisStatusCache(url)
    cache.put_statuses([DeviceStatus("d1", "normal", last_seen, 0.0, None)], NOW)
    cache.close()


@pytest.fixture
def watch(redis_url: str) -> CacheWatch:
    """Return a watch that has seen the newer status."""
    watch = CacheWatch(redis_url, ["d1"], History())
    put(redis_url, NEWER)
    watch.look()
    return watch


def test_an_older_status_over_a_newer_one_is_noticed(watch: CacheWatch, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.delete(status_key("d1"))
    put(redis_url, OLDER)
    watch.look()
    [problem] = watch.problems
    assert "went back" in problem


def test_what_was_emptied_and_filled_between_two_looks_has_nothing_to_go_back_from(
    watch: CacheWatch, redis_url: str
) -> None:
    empty_cache(redis_url, ["d1"])
    put(redis_url, OLDER)
    watch.look()
    assert watch.problems == []
    put(redis_url, NEWER)
    watch.look()
    with redis.Redis.from_url(redis_url) as client:
        client.delete(status_key("d1"))
    put(redis_url, OLDER)
    watch.look()
    assert len(watch.problems) == 1
