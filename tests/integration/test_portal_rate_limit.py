"""How many requests one address may send."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.local.servers.redis import RedisServer
from plumbline.portal.rate_limit import RateLimit
from portal_process import PortalProcess
from portal_world import add_fleet

_LIMIT = 10
_MANY = 2000
_ADDRESS = "192.0.2.1"


@pytest.fixture
def portal(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[PortalProcess]:
    """Yield a running portal that lets ten requests of an address through."""
    settings = {"PORTAL_RATE_LIMIT": str(_LIMIT)}
    log_path = tmp_path / "portal.log"
    with PortalProcess(database_url, redis_url, log_path, settings) as running:
        yield running


def test_an_address_that_sends_too_much_waits(portal: PortalProcess) -> None:
    client = portal.client(address="127.0.0.7")
    answers = [client.get("/api/v1/session") for _ in range(_LIMIT + 2)]
    assert [answer.status for answer in answers] == [401] * _LIMIT + [429] * 2
    assert [answer.header("ratelimit-policy") for answer in answers] == [
        f'"default";q={_LIMIT};w=300'
    ] * (_LIMIT + 2)
    first, last = answers[0].header("ratelimit") or "", answers[-1].header("ratelimit") or ""
    assert first.startswith(f'"default";r={_LIMIT - 1};t=')
    assert last.startswith('"default";r=0;t=')
    assert 0 < int(answers[-1].header("retry-after") or 0) <= 300
    assert answers[-1].header("content-type") == "application/problem+json"
    assert portal.client(address="127.0.0.8").get("/api/v1/session").status == 401


def test_who_watches_is_not_refused(portal: PortalProcess) -> None:
    client = portal.client(address="127.0.0.7")
    statuses = [client.get("/health").status for _ in range(2 * _LIMIT)]
    assert statuses == [200] * (2 * _LIMIT)
    first = client.get("/api/v1/session").header("ratelimit") or ""
    assert first.startswith(f'"default";r={_LIMIT - 1};'), "nor does it count"


def test_a_forwarded_header_buys_nothing(portal: PortalProcess) -> None:
    client = portal.client(address="127.0.0.7")
    statuses = [
        client.get("/api/v1/session", headers={"X-Forwarded-For": f"10.0.0.{number}"}).status
        for number in range(_LIMIT + 1)
    ]
    assert statuses[-1] == 429


def test_without_redis_it_counts_by_itself(
    portal: PortalProcess, redis_server: RedisServer
) -> None:
    client = portal.client(address="127.0.0.7")
    redis_server.stop()
    try:
        statuses = [client.get("/api/v1/session").status for _ in range(_LIMIT + 1)]
    finally:
        redis_server.start()
        redis_server.wait_ready(30)
    assert statuses == [401] * _LIMIT + [429]


def test_the_limit_is_the_firewalls_unless_set(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    for setting, expected in (("", '"default";q=2000;w=300'), ("0", None)):
        settings = {"PORTAL_RATE_LIMIT": setting}
        with PortalProcess(database_url, redis_url, tmp_path / "log", settings) as running:
            answer = running.client().get("/api/openapi.json")
            assert answer.header("ratelimit-policy") == expected


def test_a_request_counts_once_whichever_way_it_takes(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """The short way to a cached status counts what it answers, and leaves all else uncounted."""
    add_fleet(database_url)
    settings = {"PORTAL_RATE_LIMIT": str(_MANY)}
    with PortalProcess(database_url, redis_url, tmp_path / "log", settings) as portal:
        token = portal.api_token("viewer", "read")
        client = portal.client(address="127.0.0.7", headers={"Authorization": f"Bearer {token}"})
        left = []
        for headers in [{}, {}, {"If-None-Match": '"x"'}, {"Authorization": "Bearer x"}] * 15:
            answer = client.get("/api/v1/devices/tower/status", headers=headers)
            assert answer.status == (401 if "Authorization" in headers else 200)
            assert answer.header("ratelimit-policy") == f'"default";q={_MANY};w=300'
            left.append(int((answer.header("ratelimit") or "").split(";")[1].removeprefix("r=")))
    assert left == [_MANY - number for number in range(1, 61)]


def test_one_process_lets_exactly_the_limit_through(redis_url: str) -> None:
    async def scenario() -> None:
        async with processes(redis_url, 1) as (limit,):
            assert await admitted([limit], _MANY + 500) == _MANY
            assert await admitted([limit], 100) == 0

    asyncio.run(scenario())


def test_each_further_process_lets_a_twentieth_more_through_at_most(redis_url: str) -> None:
    async def scenario() -> None:
        async with processes(redis_url, 3) as several:
            total = await admitted(several, 3 * _MANY)
            assert _MANY <= total <= _MANY * (1 + 2 / 20)
            assert await admitted(several, 300) == 0, "all know it by now"

    asyncio.run(scenario())


def test_what_one_process_has_counted_the_others_know_soon(redis_url: str) -> None:
    async def scenario() -> None:
        async with processes(redis_url, 2) as (one, other):
            assert (await other.take(_ADDRESS)).remaining == _MANY - 1
            for _ in range(200):
                await one.take(_ADDRESS)
            left = _MANY
            async with asyncio.timeout(20):
                for number in itertools.count(2):
                    left = (await other.take(_ADDRESS)).remaining
                    if left <= _MANY - 100 - number:
                        break
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_a_window_that_is_over_begins_anew(redis_url: str) -> None:
    async def scenario() -> None:
        async with processes(redis_url, 1) as (limit,):
            await admitted([limit], _MANY + 1)
            with redis.Redis.from_url(redis_url) as cache:
                cache.pexpire(f"ratelimit:{_ADDRESS}", 300)
            assert (await limit.take(_ADDRESS)).exceeded
            async with asyncio.timeout(20):
                while True:
                    await asyncio.sleep(0.01)
                    if not (await limit.take(_ADDRESS)).exceeded:
                        break
            assert (await limit.take(_ADDRESS)).remaining == _MANY - 2

    asyncio.run(scenario())


@asynccontextmanager
async def processes(redis_url: str, number: int) -> AsyncIterator[list[RateLimit]]:
    """Yield the rate limits of so many processes."""
    clients = [MultiplexedRedis(redis_url) for _ in range(number)]
    try:
        yield [RateLimit(client, _MANY) for client in clients]
    finally:
        for client in clients:
            await client.close()
        await asyncio.sleep(0)  # for the transports to see it


async def admitted(limits: list[RateLimit], requests: int) -> int:
    """Send so many requests at once, to each process in turn; return how many may pass."""
    turns = itertools.cycle(limits)
    taken = await asyncio.gather(*(next(turns).take(_ADDRESS) for _ in range(requests)))
    return sum(not quota.exceeded for quota in taken)
