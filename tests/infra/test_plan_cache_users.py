"""Each user of Redis may do what its code does there, and not what others' does."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
import redis

from infra.deployment_plan import Plan
from plumbline.adapters.redis import RedisStatusCache
from plumbline.adapters.redis_credentials import RedisCredentialCache
from plumbline.adapters.redis_entries import PUT_NEWER, STATUS_TTL_S, session_key, status_key
from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.errors import CacheUnavailable
from plumbline.ports import DeviceStatus, FleetStatistics, Revoked

pytestmark = pytest.mark.terraform

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_STATUS = DeviceStatus(
    device_id="d",
    current_status="normal",
    last_seen=_NOW,
    tilt_angle_deg=1.0,
    battery_level_pct=90,
)
_SESSION = bytes(32)


@pytest.fixture
def user_url(lab: Plan, redis_url: str) -> Callable[[str], str]:
    """Return a function that makes a user as planned and returns its URL."""

    def make(name: str) -> str:
        planned = lab.by_key("aws_elasticache_user")[name]
        with redis.Redis.from_url(redis_url) as admin:
            rules = planned["access_string"].split()
            admin.execute_command("ACL", "SETUSER", name, "reset", *rules, ">secret")
        return re.sub(r"//[^@]*@", f"//{name}:secret@", redis_url)

    return make


def run(url: str, scenario: Callable[[MultiplexedRedis], Awaitable[None]]) -> None:
    """Run it with the portal's client."""

    async def whole() -> None:
        cache = MultiplexedRedis(url)
        try:
            await scenario(cache)
        finally:
            await cache.close()

    asyncio.run(whole())


def test_sync_writes_status_and_statistics_and_reads_no_session(
    user_url: Callable[[str], str],
) -> None:
    url = user_url("sync")
    cache = RedisStatusCache(url)
    try:
        assert cache.put_statuses([_STATUS], _NOW) == 1
        cache.put_statistics(FleetStatistics(1, {"normal": 1}, 1, "d", _NOW), _NOW)
    finally:
        cache.close()
    with redis.Redis.from_url(url) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.get(session_key(_SESSION))


def test_operate_revokes_sessions_and_reads_nothing(user_url: Callable[[str], str]) -> None:
    url = user_url("operate")
    cache = RedisCredentialCache(url)
    revoked = Revoked(sessions=[_SESSION], tokens=[_SESSION])
    try:
        cache.revoke(revoked)
        cache.forget(revoked)
    finally:
        cache.close()
    with redis.Redis.from_url(url) as client:
        for key in (session_key(_SESSION), status_key("d")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.get(key)


def test_the_portal_reads_what_it_shows_and_keeps_sessions(
    user_url: Callable[[str], str],
) -> None:
    async def scenario(cache: MultiplexedRedis) -> None:
        key = session_key(_SESSION)
        await cache.execute("SET", "stats:fleet", "{}", "EX", 600, "NX")
        put = ("EVAL", PUT_NEWER, 1, status_key("d"), STATUS_TTL_S, "2026-01-01T00:00:00Z", "{}")
        assert await cache.execute(*put) == 1
        # As sign-in keeps a copy.
        await cache.execute("EVAL", "redis.call('SET', KEYS[1], '1', 'EX', 9) return 1", 1, key)
        read = await asyncio.gather(*(cache.get(one) for one in (key, "stats:fleet")))
        assert read == [b"1", b"{}"]
        assert cache.known("stats:fleet") == b"{}", "Redis tells what changes"
        assert await cache.get_sliding(key, 1800) == b"1"
        await cache.execute("DEL", key)
        for command in (("FLUSHALL",), ("KEYS", "*"), ("GET", "other"), ("CONFIG", "GET", "*")):
            with pytest.raises(CacheUnavailable):
                await cache.execute(*command)

    run(user_url("portal"), scenario)


def test_nobody_comes_in_without_a_token(lab: Plan) -> None:
    users = lab.of("aws_elasticache_user")
    for user in users:
        [mode] = user["authentication_mode"]
        is_default = user["user_name"] == "default"
        assert mode["type"] == ("no-password-required" if is_default else "iam")
        assert user["access_string"].startswith("off -@all" if is_default else "on ~")
