"""A database or a cache that is away, or worse: that hangs. Then it is back."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from e2e.conftest import wait_until
from frozen import frozen
from plumbline.local.servers.postgres import PostgresServer
from plumbline.local.servers.redis import RedisServer
from plumbline.portal.route import Route
from plumbline.portal.routes import ROUTES
from portal_process import Answer, Client, PortalProcess

_READS = [route for route in ROUTES if route.method == "GET" and route.role != "public"]
# What is at hand without the database: who asks, and what the cache holds.
_CACHED = {"/api/v1/session", "/api/v1/devices/{device_id}/status", "/api/v1/stats"}
_VALUES = {"device_id": "tower", "command_id": "00000000-0000-4000-8000-000000000000"}
_OF_THE_MOMENT = {"synced_at", "age_s", "from", "to", "t"}


@pytest.fixture
def client(client: Client) -> Client:
    """Return the client, who has asked for everything once."""
    ask_all(client)
    return client


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()
        server.wait_ready(60)


def ask_all(client: Client) -> dict[str, tuple[Answer, float]]:
    """Ask all reads at once; return the answer and the seconds it took, by path."""

    def ask(route: Route) -> tuple[str, tuple[Answer, float]]:
        began = time.monotonic()
        path = re.sub(r"\{(\w+)\}", lambda match: _VALUES[match[1]], route.path)
        answer = client.get(path)
        return route.path, (answer, time.monotonic() - began)

    with ThreadPoolExecutor(len(_READS)) as threads:
        return dict(threads.map(ask, _READS))


def plain(answer: Answer) -> Any:  # noqa: ANN401 - any JSON
    """Return the body without what tells of the moment."""
    if (answer.header("content-type") or "").endswith("json"):
        return {k: v for k, v in answer.json().items() if k not in _OF_THE_MOMENT}
    return answer.body


def assert_unavailable(answer: Answer) -> None:
    assert answer.status == 503, answer
    assert answer.header("content-type") == "application/problem+json"
    assert answer.json()["type"] == "urn:plumbline:problem:unavailable"
    assert int(answer.header("retry-after") or 0) >= 1


def test_a_stopped_database_is_said_at_once_and_what_is_cached_goes_on(
    client: Client, portal: PortalProcess, postgres_server: PostgresServer
) -> None:
    with stopped(postgres_server):
        assert_unavailable(portal.client().get("/health"))
        ask_all(client)  # the first ones wait for a restart
        for path, (answer, took_s) in ask_all(client).items():
            assert took_s < 2, (path, took_s)
            if path in _CACHED:
                assert answer.status == 200, (path, answer)
            else:
                assert_unavailable(answer)
        assert_unavailable(portal.client().sign_in("operator"))
        sent = client.request(
            "POST", "/api/v1/devices/tower/commands", json_body={"command": "reboot"}
        )
        assert_unavailable(sent)
    began = time.monotonic()

    def served_again() -> bool:
        return all(answer.status in {200, 404} for answer, _ in ask_all(client).values())

    wait_until(served_again, 5, "every route to answer again")
    assert portal.client().get("/health").status == 200, time.monotonic() - began


def test_a_short_restart_of_the_database_is_waited_for(
    client: Client, postgres_server: PostgresServer
) -> None:
    with ThreadPoolExecutor(8) as threads:
        with stopped(postgres_server):
            under_way = [threads.submit(client.get, "/api/v1/devices") for _ in range(8)]
        assert {asked.result().status for asked in under_way} == {200}


def test_a_database_that_hangs_hangs_nobody(
    client: Client, portal: PortalProcess, postgres_server: PostgresServer
) -> None:
    with frozen(postgres_server):
        began = time.monotonic()
        assert_unavailable(portal.client().get("/health"))
        assert time.monotonic() - began < 4
        for path, (answer, took_s) in ask_all(client).items():
            assert took_s < 10, (path, took_s)
            assert answer.status == (200 if path in _CACHED else 503), (path, answer)
        again = {
            path: (answer.status, took_s) for path, (answer, took_s) in ask_all(client).items()
        }
        assert {path for path, (status, _) in again.items() if status == 200} == _CACHED
        assert max(took_s for _, took_s in again.values()) < 2, again

    def served_again() -> bool:
        return all(answer.status in {200, 404} for answer, _ in ask_all(client).values())

    wait_until(served_again, 10, "every route to answer again")
    assert portal.log.count("Traceback") == 0


def test_a_cache_that_hangs_costs_a_second_and_changes_no_answer(
    client: Client, portal: PortalProcess, redis_server: RedisServer
) -> None:
    before = {path: (answer.status, plain(answer)) for path, (answer, _) in ask_all(client).items()}
    with frozen(redis_server):
        first, again = ask_all(client), ask_all(client)
        signed_in = portal.client().sign_in("operator")
    for answers, limit_s in ((first, 6), (again, 2)):
        assert max(took_s for _, took_s in answers.values()) < limit_s, answers
        found = {path: (answer.status, plain(answer)) for path, (answer, _) in answers.items()}
        assert found == before
    assert signed_in.status == 200
    with frozen(redis_server):  # also when it hangs a second time
        assert {answer.status for answer, _ in ask_all(client).values()} == {200, 404}


def test_nobody_gets_in_while_neither_answers(
    client: Client,
    portal: PortalProcess,
    postgres_server: PostgresServer,
    redis_server: RedisServer,
) -> None:
    with frozen(redis_server), stopped(postgres_server):
        # Who was let in a moment ago is still known, for KNOWN_FOR_S.
        wait_until(lambda: client.get("/api/v1/session").status == 503, 5, "a refusal")
        for answer, _ in ask_all(client).values():
            assert_unavailable(answer)
        for headers in ({}, {"Authorization": "Bearer plb_" + "x" * 43}):
            answer = portal.client(headers=headers).get("/api/v1/devices")
            assert answer.status in {401, 503}
