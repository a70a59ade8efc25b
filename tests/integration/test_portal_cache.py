"""Without the cache the API is slower, never wrong: compared route by route."""

import asyncio
import json
import os
import re
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import redis
from starlette.types import Message, Receive, Scope, Send

from e2e.conftest import wait_until
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.statuses import PostgresStatuses
from plumbline.adapters.redis import RedisStatusCache
from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.application.sync import Sync
from plumbline.errors import CacheUnavailable, StoreUnavailable
from plumbline.local.servers.redis import RedisServer
from plumbline.portal.app import make_services
from plumbline.portal.cached_status import CachedStatus
from plumbline.portal.request_head import HEAD_KEY, HeadReader
from plumbline.portal.routes import ROUTES
from plumbline.settings import PortalSettings, load
from portal_process import Client, PortalProcess
from portal_world import BASE, add_readings

_OF_THE_MOMENT = {"synced_at", "age_s"}
_SERIES = "?from=2026-01-05T00:00:00Z&to=2026-01-06T00:00:00Z"
_TIME_TO_SPEAK = {
    "/api/v1/devices/{device_id}/series": _SERIES,
}
_READS = [r for r in ROUTES if r.method == "GET" and r.path not in {"/", "/api/v1/session"}]


def sync(database_url: str, redis_url: str, now: datetime | None = None) -> None:
    """Run the sync once."""

    class _Clock:
        def now(self) -> datetime:
            return now or datetime.now(UTC)

    database, cache = Database(database_url, StoreUnavailable), RedisStatusCache(redis_url)
    try:
        Sync(PostgresStatuses(database), cache, _Clock()).run()
    finally:
        database.close()
        cache.close()


def answers(client: Client, command_id: str) -> dict[str, tuple[int, Any]]:
    """Ask every read route; leave out what tells only of the moment."""
    found: dict[str, tuple[int, Any]] = {}
    values = {"device_id": "tower", "command_id": command_id, "asset": "start.js"}
    for route in _READS:
        path = re.sub(r"\{(\w+)\}", lambda match: values[match[1]], route.path)
        answer = client.get(path + _TIME_TO_SPEAK.get(route.path, ""))
        body: Any = answer.body
        if (answer.header("content-type") or "").endswith("json"):
            body = {k: v for k, v in answer.json().items() if k not in _OF_THE_MOMENT}
        found[route.path] = (answer.status, body)
    return found


def test_every_answer_is_the_same_with_and_without_the_cache(
    client: Client, database_url: str, redis_url: str, redis_server: RedisServer
) -> None:
    sent = client.request("POST", "/api/v1/devices/tower/commands", json_body={"command": "reboot"})
    command_id = sent.json()["command_id"]
    sync(database_url, redis_url)
    with_cache = answers(client, command_id)
    assert {status for status, _ in with_cache.values()} == {200}
    with redis.Redis.from_url(redis_url) as cache:
        assert cache.exists("device:tower:status", "stats:fleet") == 2
        cache.flushall()
        assert answers(client, command_id) == with_cache
        assert cache.exists("device:tower:status", "stats:fleet") == 2, "read through"
        cache.set("device:tower:status", "not ours")
        cache.set("stats:fleet", '{"devices":"many"}')
        assert answers(client, command_id) == with_cache
        cache.lpush("device:bridge:status", "a list")
        assert client.get("/api/v1/devices/bridge/status").status == 404
    redis_server.stop()
    try:
        assert answers(client, command_id) == with_cache
        again = client.request(
            "POST", "/api/v1/devices/tower/commands", json_body={"command": "zero"}
        )
        assert again.status == 202
    finally:
        redis_server.start()
        redis_server.wait_ready(30)

    def cached_again() -> bool:
        client.get("/api/v1/devices/tower/status")
        with redis.Redis.from_url(redis_server.url) as cache:
            return bool(cache.exists("device:tower:status"))

    wait_until(cached_again, 20, "the portal to use the cache again")


def test_a_cached_answer_says_how_old_it_is(
    client: Client, database_url: str, redis_url: str
) -> None:
    sync(database_url, redis_url, datetime.now(UTC) - timedelta(minutes=1))
    for path in ("/api/v1/devices/tower/status", "/api/v1/stats"):
        answer = client.get(path)
        assert 60 <= answer.json()["age_s"] < 90, path
        assert 60 <= int(answer.header("age") or 0) < 90, path


def test_what_a_clock_that_was_ahead_has_written_is_not_shown_as_fresh(
    client: Client, database_url: str, redis_url: str
) -> None:
    """Its age would be 0 until our clock has come up with it."""
    sync(database_url, redis_url, datetime.now(UTC) + timedelta(hours=1))
    for path in ("/api/v1/devices/tower/status", "/api/v1/stats"):
        for _ in range(2):  # the second is answered from what is at hand
            synced_at = datetime.fromisoformat(client.get(path).json()["synced_at"])
            assert synced_at <= datetime.now(UTC), path


def test_a_sync_that_stops_does_not_leave_old_answers_for_ever(
    client: Client, database_url: str, redis_url: str
) -> None:
    sync(database_url, redis_url, datetime.now(UTC) - timedelta(hours=1))
    entries = {
        "/api/v1/devices/tower/status": ("device:tower:status", 300),
        "/api/v1/stats": ("stats:fleet", 600),
    }
    with redis.Redis.from_url(redis_url) as cache:
        for path, (key, life_s) in entries.items():
            assert client.get(path).json()["age_s"] >= 3600, "it says so while it is there"
            for _ in range(2):  # what the sync wrote ends, and what a request wrote does, too
                assert 0 < int(str(cache.ttl(key))) <= life_s, key
                cache.pexpire(key, 1)
                wait_until(lambda key=key: not cache.exists(key), 5, "the entry to end")  # type: ignore[misc]
                assert client.get(path).json()["age_s"] < 60, path


def test_nobody_keeps_an_answer_whose_age_would_stand_still(
    client: Client, database_url: str, redis_url: str
) -> None:
    """A browser that kept it would show it as fresh as it was, at every 304 again."""
    sync(database_url, redis_url, datetime.now(UTC) - timedelta(minutes=1))
    for path in ("/api/v1/devices/tower/status", "/api/v1/stats"):
        answer = client.get(path)
        assert answer.header("cache-control") == "no-store", path
        unchanged = client.get(path, headers={"If-None-Match": answer.header("etag") or ""})
        assert (unchanged.status, unchanged.header("cache-control")) == (304, "no-store")
        assert 60 <= int(unchanged.header("age") or 0) < 90, "who asks so by hand gets the new age"


def test_reading_through_never_puts_an_older_status_over_a_newer(
    client: Client, database_url: str, redis_url: str
) -> None:
    """A device reported, and the sync wrote that, while a request had read the one before."""
    newer = BASE + timedelta(days=1)
    status = {
        "device_id": "tower",
        "current_status": "alarm",
        "last_seen": newer.isoformat().replace("+00:00", "Z"),
        "tilt_angle": 9.0,
        "battery_level": None,
        "synced_at": datetime.now(UTC).isoformat(),
    }
    done = threading.Event()
    with redis.Redis.from_url(redis_url) as cache, psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE device_status IN ACCESS EXCLUSIVE MODE")

        def ask() -> None:
            client.get("/api/v1/devices/tower/status")
            done.set()

        thread = threading.Thread(target=ask)
        thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_until(
            lambda: connection.execute(waiting).fetchone() == (1,), 20, "the request to read"
        )
        cache.set("device:tower:status", json.dumps(status))
        connection.rollback()
        assert done.wait(20)
        thread.join()
        kept = json.loads(str(cache.get("device:tower:status"), "utf-8"))
    assert kept["current_status"] == "alarm"


def test_many_who_miss_read_the_database_once_a_process(
    portal: PortalProcess, client: Client, database_url: str
) -> None:
    """The table is locked until all of them wait; then there must be two statements, not forty."""
    with psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE device_status IN ACCESS EXCLUSIVE MODE")
        threads = [
            threading.Thread(target=client.get, args=("/api/v1/devices/tower/status",))
            for _ in range(40)
        ]
        for thread in threads:
            thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_until(
            lambda: (connection.execute(waiting).fetchone() or (0,))[0] >= 1, 20, "a request"
        )
        threading.Event().wait(1.0)  # for the others to come, if they would
        found = connection.execute(waiting).fetchone()
        connection.rollback()
    for thread in threads:
        thread.join()
    assert found is not None
    assert 1 <= found[0] <= 2, f"{found[0]} statements, {portal.log[-500:]}"


def test_one_connection_answers_many_tasks_in_their_order(redis_url: str) -> None:
    async def many() -> None:
        cache = MultiplexedRedis(redis_url)
        try:
            await asyncio.gather(*(cache.execute("SET", f"k{i}", str(i)) for i in range(1000)))
            found = await asyncio.gather(*(cache.execute("GET", f"k{i}") for i in range(1000)))
            assert found == [str(i).encode() for i in range(1000)]
            with pytest.raises(CacheUnavailable):
                await cache.execute("NO-SUCH-COMMAND")
            assert await cache.execute("GET", "k1") == b"1"
            clients = await cache.execute("CLIENT", "LIST")
            assert len(clients.splitlines()) == 1
        finally:
            await cache.close()

    asyncio.run(many())


def test_who_gives_up_waiting_gets_nobody_elses_answer(redis_url: str) -> None:
    async def give_up() -> None:
        cache = MultiplexedRedis(redis_url)
        try:
            await cache.execute("SET", "k", "mine")
            blocked = asyncio.create_task(cache.execute("BLPOP", "empty", "0.4"))
            await asyncio.sleep(0)  # it is sent before the next
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await cache.execute("SET", "k", "theirs", "GET")
            assert await cache.execute("GET", "k") == b"theirs"
            assert await blocked is None
            slow = asyncio.create_task(cache.execute("BLPOP", "empty", 3))
            after = asyncio.create_task(cache.execute("GET", "k"))
            done = await asyncio.gather(slow, after, return_exceptions=True)
            assert all(isinstance(one, CacheUnavailable) for one in done)
        finally:
            await cache.close()

    asyncio.run(give_up())


def test_a_late_reading_shows_when_the_cache_has_run_out(
    client: Client, database_url: str, redis_url: str
) -> None:
    sync(database_url, redis_url)
    add_readings(database_url, "tower", [BASE + timedelta(days=2)])
    with redis.Redis.from_url(redis_url) as cache:
        assert 0 < int(str(cache.ttl("device:tower:status"))) <= 300
        cache.delete("device:tower:status")
    status = client.get("/api/v1/devices/tower/status").json()
    assert status["last_seen"] == "2026-01-07T00:00:00Z"


def test_the_short_way_to_a_status_gives_the_same_answer_as_the_long_one(
    client: Client, portal: PortalProcess, database_url: str, redis_url: str
) -> None:
    """A condition that does not hold takes the long way; answers must not differ by the way."""
    sync(database_url, redis_url)
    path = "/api/v1/devices/tower/status"
    of_the_moment = {"x-request-id", "date"}
    for _ in range(4):  # of either worker process
        short = client.get(path)
        long = client.get(path, headers={"If-None-Match": '"another"'})
        assert (short.status, long.status) == (200, 200)
        named = [
            {name: value for name, value in answer.headers if name not in of_the_moment}
            for answer in (short, long)
        ]
        for headers in named:
            assert int(headers.pop("age")) < 60
            headers.pop("content-length")  # the digits of the age
        assert named[0] == named[1]
        assert {k: v for k, v in short.json().items() if k != "age_s"} == {
            k: v for k, v in long.json().items() if k != "age_s"
        }
    for token in ("", "Bearer ", "Bearer plb_" + "x" * 43, "Basic eDp4"):
        assert portal.client(headers={"Authorization": token}).get(path).status == 401


def test_what_is_at_hand_needs_no_redis_for_a_moment(
    client: Client, database_url: str, redis_url: str
) -> None:
    """While Redis hangs, who asked a moment ago is answered as quickly as ever."""
    sync(database_url, redis_url)
    path = "/api/v1/devices/tower/status"
    took_s = []
    for _ in range(5):
        before = client.get(path)
        with redis.Redis.from_url(redis_url) as cache:
            pid = int(cache.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            began_s = time.monotonic()
            answer = client.get(path)
            took_s.append(time.monotonic() - began_s)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert answer.status == before.status == 200
        assert answer.header("etag") == before.header("etag")
    # Without it, an answer takes at least as long as Redis is waited for.
    assert min(took_s) < 0.4, took_s


def test_who_asks_again_is_answered_by_the_short_way(
    portal: PortalProcess, database_url: str, redis_url: str
) -> None:
    """Once by the long way, and what that has read is at hand for the next."""
    sync(database_url, redis_url)
    token = portal.api_token("viewer", "read")
    given = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    services = make_services(load(PortalSettings, given))
    went_long: list[Scope] = []

    async def long_way(scope: Scope, _receive: Receive, _send: Send) -> None:
        went_long.append(scope)

    async def ask(
        headers: dict[str, str], method: str = "GET", query: bytes = b""
    ) -> list[Message]:
        sent: list[Message] = []

        async def receive() -> Message:
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        scope: Scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": "/api/v1/devices/tower/status",
            "query_string": query,
            "client": ("192.0.2.1", 5),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        scope[HEAD_KEY] = HeadReader(0, loopback_cookie=False).read(scope)
        await CachedStatus(long_way, None, services)(scope, receive, send)
        return sent

    async def scenario() -> None:
        bearer = {"authorization": f"Bearer {token}"}
        await services.database.open()
        try:
            assert await ask(bearer) == [], "nothing is at hand yet"
            for _ in range(2):  # from the database into Redis, and from there
                await services.credentials.api_token(token)
                await services.statuses.status("tower")
            start, body = await ask(bearer)
            assert (start["status"], json.loads(body["body"])["device_id"]) == (200, "tower")
            went_long.clear()
            for special in (
                ask({"authorization": f"Bearer plb_{'x' * 43}"}),
                ask({}),
                ask(bearer, "HEAD"),
                ask(bearer, "POST"),
                ask(bearer, query=b"x=1"),
                ask({**bearer, "if-none-match": "*"}),
                ask({**bearer, "content-length": "1"}),
            ):
                assert await special == []
            assert len(went_long) == 7
        finally:
            await services.redis.close()
            await services.database.close()

    asyncio.run(scenario())
