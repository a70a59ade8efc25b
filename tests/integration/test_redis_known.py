"""What one process has at hand of Redis follows what others write there."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
import redis

from plumbline.adapters.redis_known import AGE_EVERY_S, KNOWN_FOR_S
from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.errors import CacheUnavailable
from plumbline.local.servers.redis import RedisServer

Scenario: TypeAlias = Callable[[MultiplexedRedis, redis.Redis], Awaitable[None]]

_DEADLINE_S = 20.0
_BUSY = """
local ends = redis.call('TIME')[1] + ARGV[1]
while tonumber(redis.call('TIME')[1]) < ends do end
"""


def run(url: str, scenario: Scenario) -> None:
    """Run it with the portal's client, and with one that is somebody else's."""

    async def whole() -> None:
        cache = MultiplexedRedis(url)
        with redis.Redis.from_url(url) as other:
            try:
                await scenario(cache, other)
            finally:
                await cache.close()

    asyncio.run(whole())


async def seconds_until(condition: Callable[[], bool]) -> float:
    """Wait, and return for how long."""
    began_s = time.monotonic()
    async with asyncio.timeout(_DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - nobody else would set an event
            await asyncio.sleep(0.001)
    return time.monotonic() - began_s


def test_a_change_reaches_whoever_has_the_value_at_hand(redis_url: str) -> None:
    async def scenario(cache: MultiplexedRedis, other: redis.Redis) -> None:
        changes: list[tuple[Callable[[], object], bytes | None]] = [
            (lambda: other.set("k", "two"), b"two"),
            (lambda: other.delete("k"), None),
            (other.flushall, None),
        ]
        for change, expected in changes:
            other.set("k", "one")
            await seconds_until(lambda: cache.known("k") in {None, b"one"})
            assert await cache.get("k") == b"one"
            assert cache.known("k") == b"one"
            change()
            took_s = await seconds_until(lambda expected=expected: cache.known("k") == expected)  # type: ignore[misc] # bound early
            assert took_s < AGE_EVERY_S, "sooner than it would have been read again for its age"

    run(redis_url, scenario)


def test_its_own_changes_reach_it_too(redis_url: str) -> None:
    async def scenario(cache: MultiplexedRedis, _other: redis.Redis) -> None:
        for value in (b"one", b"two", b"three"):
            await cache.execute("SET", "k", value)
            assert await seconds_until(lambda: cache.known("k") is None) < AGE_EVERY_S
            assert await cache.get("k") == value

    run(redis_url, scenario)


def test_a_value_that_is_asked_for_stays_at_hand_and_another_does_not(redis_url: str) -> None:
    async def scenario(cache: MultiplexedRedis, other: redis.Redis) -> None:
        other.mset({"asked": "1", "left": "2"})
        await asyncio.gather(cache.get("asked"), cache.get("left"))
        began_s = time.monotonic()
        while time.monotonic() - began_s < 3 * KNOWN_FOR_S:
            assert cache.known("asked") == b"1"
            await asyncio.sleep(0.01)
        assert cache.known("left", renew=False) is None

    run(redis_url, scenario)


def test_nothing_is_at_hand_of_a_redis_that_is_silent_or_gone(
    redis_url: str, redis_server: RedisServer
) -> None:
    async def scenario(cache: MultiplexedRedis, other: redis.Redis) -> None:
        other.set("k", "one")
        assert await cache.get("k") == b"one"
        busy = threading.Thread(target=other.eval, args=(_BUSY, 0, "4"))
        busy.start()
        try:
            took_s = await seconds_until(lambda: cache.known("k") is None)
            assert took_s < 2 * KNOWN_FOR_S
        finally:
            await asyncio.to_thread(busy.join)
        await seconds_until(lambda: other.ping() is True)
        async with asyncio.timeout(_DEADLINE_S):
            while cache.known("k") is None:  # it rests for a time
                try:
                    await cache.get("k")
                except CacheUnavailable:
                    await asyncio.sleep(0.05)
        redis_server.stop()
        try:
            assert await seconds_until(lambda: cache.known("k") is None) < AGE_EVERY_S
        finally:
            redis_server.start()
            await asyncio.to_thread(redis_server.wait_ready, 30)

    run(redis_url, scenario)


def test_where_redis_does_not_tell_of_changes_nothing_stays_at_hand(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as admin:
        admin.acl_setuser(
            "reader", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", "-client"]
        )
        host, port = redis_url.rpartition("@")[2].partition("/")[0].split(":")

        async def scenario(cache: MultiplexedRedis, other: redis.Redis) -> None:
            other.set("k", "one")
            assert await cache.get("k") == b"one"
            assert cache.known("k") is None
            other.set("k", "two")
            assert await cache.get("k") == b"two"
            with pytest.raises(CacheUnavailable):
                await cache.execute("CLIENT", "LIST")

        try:
            run(f"redis://reader:secret@{host}:{port}/0", scenario)
        finally:
            admin.acl_deluser("reader")


def test_a_sliding_value_lives_on_when_a_second_of_its_time_has_passed(redis_url: str) -> None:
    async def scenario(cache: MultiplexedRedis, other: redis.Redis) -> None:
        other.set("worn", "one", px=1_798_000)
        assert await cache.get_sliding("worn", 1800) == b"one"
        assert int(str(other.pttl("worn"))) > 1_799_000
        other.set("fresh", "two", px=1_799_500)
        assert await cache.get_sliding("fresh", 1800) == b"two"
        assert int(str(other.pttl("fresh"))) <= 1_799_500, "others have it at hand"
        other.set("lasting", "three")
        assert await cache.get_sliding("lasting", 1800) == b"three"
        assert other.ttl("lasting") == -1
        assert await cache.get_sliding("none", 1800) is None

    run(redis_url, scenario)
