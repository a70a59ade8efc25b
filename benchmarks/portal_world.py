"""A portal with real servers and a fleet, for measuring on it."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from plumbline.adapters.argon2 import Argon2Hasher
from plumbline.adapters.clock import SystemClock
from plumbline.adapters.postgres.accounts import PostgresAccounts
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.redis_credentials import RedisCredentialCache
from plumbline.application.accounts import Accounts
from plumbline.domain.account import Role, Scope
from plumbline.errors import StoreUnavailable
from plumbline.local.prepare_database import prepare_database
from plumbline.local.reachable import portal_answers
from plumbline.local.servers.ports import free_port
from plumbline.local.servers.postgres import PostgresServer
from plumbline.local.servers.redis import RedisServer

DEVICES = 100
PASSWORD = "a password for benchmarks"  # noqa: S105 - of a system that lives for one benchmark
_READY_S = 60.0
_WORKERS = 2

# The way they arrive: all devices at one time, then all at the next.
_READINGS = """
INSERT INTO sensor_data (device_id, "timestamp", tilt_angle, status, battery_level, tilt_x, tilt_y,
    temperature, rssi, snr, sequence, received_at, delivery_id)
SELECT 'dev-' || d, t, round((10 * sin(n / 500.0) + random() / 100)::numeric, 4), 'normal', 87,
    random(), random(), 21.5, -97, 7.5, n, t, gen_random_uuid()
FROM (SELECT n, %(end)s::timestamptz - interval '90 days' * (n::float8 / %(each)s) AS t
      FROM generate_series(%(first)s::int, %(last)s::int) n) moments,
     generate_series(1, %(devices)s::int) d
"""
_STATUSES = """
INSERT INTO device_status (device_id, last_seen, current_status, tilt_angle, battery_level)
SELECT 'dev-' || d, now(), 'normal', 1.2345, 87 FROM generate_series(1, %(devices)s::int) d
"""
_DEVICES = """
INSERT INTO devices (device_id, protocol)
SELECT 'dev-' || d, 'mqtt' FROM generate_series(1, %(devices)s::int) d
"""
_ROWS_AT_ONCE = 500_000


@dataclass(frozen=True, slots=True)
class World:
    """A running portal.

    Attributes:
        url: Of the portal.
        token: An API token of an operator.
        process: The portal.
    """

    url: str
    database_url: str
    redis_url: str
    token: str
    process: psutil.Process

    def portal_mb(self) -> float:
        """Return the memory that the portal's processes have of their own."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(one.memory_full_info().uss for one in family) / 2**20


@contextmanager
def running_world(rows: int) -> Iterator[World]:
    """Start PostgreSQL, Redis and the portal, with so many readings of 90 days."""
    with ExitStack() as stack:
        data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plumbline-bench-")))
        data_dir.chmod(0o755)
        postgres, cache = PostgresServer(data_dir), RedisServer(data_dir)
        for server in (postgres, cache):
            server.start()
            stack.callback(server.stop)
            server.wait_ready(_READY_S)
        prepare_database(postgres.url)
        fill(postgres.url, rows)
        environment = {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": cache.url,
            "PORTAL_RATE_LIMIT": "0",
            "PORTAL_LOOPBACK_COOKIE": "true",
        }
        port = free_port()
        process = stack.enter_context(
            serving(
                [sys.executable, "-m", "plumbline.portal"],
                port,
                environment | {"PORTAL_PORT": str(port)},
            )
        )
        url = f"http://127.0.0.1:{port}"
        _wait(lambda: portal_answers(url))
        token = _add_operator(postgres.url, cache.url)
        yield World(url, postgres.url, cache.url, token, process)


def fill(database_url: str, rows: int) -> None:
    """Store a fleet and so many readings, spread over the last 90 days."""
    each = max(1, rows // DEVICES)
    step = max(1, _ROWS_AT_ONCE // DEVICES)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT ensure_sensor_data_partition(d::date) FROM"
            " generate_series(now() - interval '91 days', now(), interval '1 day') d"
        )
        connection.execute(_DEVICES.encode(), {"devices": DEVICES})
        connection.execute(_STATUSES.encode(), {"devices": DEVICES})
        row = connection.execute("SELECT now()").fetchone()
        assert row is not None  # noqa: S101 - of one row
        # Backwards from now; the blocks are stored oldest first, as they would have arrived.
        for last in range(each, 0, -step):
            parameters = {"end": row[0], "each": each, "devices": DEVICES}
            bounds = {"first": max(0, last - step + 1), "last": last}
            connection.execute(_READINGS.encode(), parameters | bounds)
        connection.execute("VACUUM ANALYZE")


@contextmanager
def serving(
    argv: Sequence[str], port: int, environment: Mapping[str, str]
) -> Iterator[psutil.Process]:
    """Run a server until it listens, and stop it at the end."""
    inherited = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    process = subprocess.Popen(
        argv,
        env=inherited | dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(lambda: _listens(port))
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def bare_server() -> Iterator[str]:
    """Run the constant handler on the portal's own server and yield its URL."""
    port = free_port()
    argv = [sys.executable, "-m", "granian", "--interface", "asginl", "--loop", "uvloop"]
    argv += ["--workers", str(_WORKERS), "--port", str(port), "--backlog", "2048", "--no-ws"]
    with serving([*argv, "benchmarks.portal_rivals:bare"], port, {}):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def obvious_server(redis_url: str) -> Iterator[str]:
    """Run FastAPI on uvicorn and yield its URL."""
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", "--factory", "--workers", str(_WORKERS)]
    argv += ["--port", str(port), "--no-access-log", "benchmarks.portal_rivals:obvious"]
    with serving(argv, port, {"REDIS_URL": redis_url}):
        yield f"http://127.0.0.1:{port}"


def _add_operator(database_url: str, redis_url: str) -> str:
    database = Database(database_url, StoreUnavailable)
    cache = RedisCredentialCache(redis_url)
    try:
        accounts = Accounts(
            PostgresAccounts(database, "cli:bench"), cache, Argon2Hasher(), SystemClock()
        )
        accounts.ensure("bench", PASSWORD, Role.OPERATOR)
        return accounts.add_token("bench", "", list(Scope), 3600).secret
    finally:
        database.close()
        cache.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _wait(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _READY_S
    while not condition():
        if time.monotonic() > deadline_s:
            msg = "a server does not answer"
            raise TimeoutError(msg)
        time.sleep(0.05)
