"""Exports that do not end well: readers that go or stall, a database that breaks off."""

import http.client
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from e2e.conftest import wait_until
from plumbline.adapters.postgres.exports import Selection, stream_csv
from plumbline.errors import PermanentError
from plumbline.local.servers.redis import RedisServer
from plumbline.portal.app import _EXPORTS_AT_ONCE
from portal_process import Answer, Client, PortalProcess
from portal_world import BASE, add_device
from store_world import connect as connect_database

_ROWS = 400_000
_FORMATS = ("csv", "parquet")
_STALL_TIMEOUT_S = 6
_SMALL_BUFFER_BYTES = 4096


@pytest.fixture(scope="module")
def portal(
    module_database_url: str, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PortalProcess]:
    """Yield a portal with a device of many readings, more than all buffers on the way hold."""
    add_device(module_database_url, "tower")
    with connect_database(module_database_url) as connection:
        connection.execute(
            "SELECT ensure_sensor_data_partition(%s::date + n) FROM generate_series(0, 5) n",
            (BASE,),
        )
        connection.execute(
            'INSERT INTO sensor_data (device_id, "timestamp", tilt_angle, status, tilt_x, tilt_y,'
            " tilt_z, temperature, received_at, delivery_id)"
            " SELECT 'tower', %s + n * interval '1 s', random(), 'normal', random(), random(),"
            " random(), random(), now(), gen_random_uuid() FROM generate_series(1, %s) n",
            (BASE, _ROWS),
        )
    log_path = tmp_path_factory.mktemp("portal") / "portal.log"
    settings = {"PORTAL_STALL_TIMEOUT_S": str(_STALL_TIMEOUT_S)}
    with PortalProcess(module_database_url, redis_server.url, log_path, settings) as running:
        yield running


@pytest.fixture
def client(portal: PortalProcess) -> Client:
    """Return a client that may read."""
    token = portal.api_token("viewer", "read")
    return portal.client(headers={"Authorization": f"Bearer {token}"})


@contextmanager
def begun(
    portal: PortalProcess, client: Client, suffix: str, accept: str = "identity"
) -> Iterator[tuple[socket.socket, http.client.HTTPResponse]]:
    """Yield an export of which the head has been read, and its connection."""
    with socket.socket() as connection:
        connection.settimeout(30)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
        connection.connect(("127.0.0.1", portal.port))
        connection.sendall(
            f"GET /api/v1/devices/tower/readings.{suffix} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: {client.headers['Authorization']}\r\n"
            f"Accept-Encoding: {accept}\r\n\r\n".encode()
        )
        response = http.client.HTTPResponse(connection, method="GET")
        response.begin()
        assert response.status == 200
        try:
            yield connection, response
        finally:
            response.close()


@contextmanager
def all_places_taken(portal: PortalProcess, client: Client, suffix: str) -> Iterator[None]:
    """Begin as many exports as there may be at once, and read no more than their heads."""
    with ExitStack() as stack, ThreadPoolExecutor(_EXPORTS_AT_ONCE) as threads:
        contexts = [begun(portal, client, suffix) for _ in range(_EXPORTS_AT_ONCE)]
        list(threads.map(stack.enter_context, contexts))
        wait_until(lambda: exporting(portal) == _EXPORTS_AT_ONCE, 20, "all exports under way")
        yield


def exporting(portal: PortalProcess) -> int:
    """Return how many connections to the database are in the middle of an export."""
    with psycopg.connect(portal.database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%tilt_z%'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def export_a_minute(client: Client, suffix: str) -> Answer:
    query = "from=2026-01-05T00:00:00Z&to=2026-01-05T00:01:00Z"
    return client.get(f"/api/v1/devices/tower/readings.{suffix}?{query}")


@pytest.mark.parametrize("suffix", _FORMATS)
def test_readers_that_go_away_give_everything_back(
    portal: PortalProcess, client: Client, suffix: str
) -> None:
    for _ in range(2):
        with all_places_taken(portal, client, suffix):
            pass
        wait_until(lambda: exporting(portal) == 0, _STALL_TIMEOUT_S / 2, "them to be noticed")
    assert export_a_minute(client, suffix).status == 200


@pytest.mark.parametrize("suffix", _FORMATS)
def test_readers_that_stop_reading_keep_nobody_else_from_exporting(
    portal: PortalProcess, client: Client, suffix: str
) -> None:
    with all_places_taken(portal, client, suffix):
        assert (
            export_a_minute(client, suffix).status == 200
        )  # waits until one of them has been given up
        wait_until(lambda: exporting(portal) == 0, 60, "all of them to be given up")


@pytest.mark.parametrize(
    ("suffix", "accept"), [("csv", "identity"), ("csv", "gzip"), ("parquet", "identity")]
)
def test_a_file_that_breaks_off_does_not_look_whole(
    portal: PortalProcess, client: Client, suffix: str, accept: str
) -> None:
    with begun(portal, client, suffix, accept) as (_, response):
        with connect_database(portal.database_url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE '%tilt_z%'"
                " AND pid <> pg_backend_pid()"
            )
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            response.read()
    assert portal.client().get("/health").status == 200
    assert export_a_minute(client, suffix).status == 200


@pytest.mark.parametrize("suffix", _FORMATS)
def test_an_export_that_cannot_begin_is_an_error_and_no_file(
    portal: PortalProcess, client: Client, suffix: str
) -> None:
    name = portal.database_url.rpartition("/")[2]
    with connect_database(portal.database_url) as connection:
        connection.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 1'.encode())
        try:
            answer = client.get(f"/api/v1/devices/tower/readings.{suffix}")
        finally:
            connection.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1'.encode())
    assert answer.status == 503, answer.body[:300]
    assert answer.header("content-type") == "application/problem+json"
    assert answer.header("content-disposition") is None


@pytest.mark.parametrize("suffix", _FORMATS)
def test_the_head_of_an_export_costs_no_export(
    portal: PortalProcess, client: Client, suffix: str
) -> None:
    with all_places_taken(portal, client, suffix):  # a further export would have to wait
        answer = client.request("HEAD", f"/api/v1/devices/tower/readings.{suffix}")
        assert exporting(portal) == _EXPORTS_AT_ONCE
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("content-disposition") == f'attachment; filename="readings-tower.{suffix}"'
    assert answer.header("content-length") is None
    assert client.request("HEAD", f"/api/v1/devices/nobody/readings.{suffix}").status == 404


def test_a_zone_that_the_database_does_not_know_is_the_callers_mistake(database_url: str) -> None:
    """Its list of zones may be older than ours."""
    selection = Selection("tower", BASE, BASE, "Mars/Olympus")
    with pytest.raises(PermanentError, match="Mars/Olympus"):
        list(stream_csv(database_url, selection))
