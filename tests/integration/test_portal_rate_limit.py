"""How many requests one address may send."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plumbline.local.servers.redis import RedisServer
from portal_process import PortalProcess

_LIMIT = 10


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
