"""Real servers for every test that asks for one; a missing server fails the test."""

import itertools
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg import sql

from plumbline.adapters.mqtt.configuration import SERVICE_USERS
from plumbline.adapters.mqtt.credentials import PasswordFile, hash_password, reload
from plumbline.adapters.postgres.migrate import migrate
from plumbline.local.servers.mosquitto import MosquittoServer, service_password
from plumbline.local.servers.postgres import ROLE, SUPERUSER, PostgresServer
from plumbline.local.servers.redis import RedisServer
from plumbline.local.servers.tls_files import TlsFiles, ensure_tls_files

_READY_DEADLINE_S = 60.0
_TEMPLATE = "plumbline_template"

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Broker:
    """A running Mosquitto and what a test needs to connect.

    Attributes:
        server: May be stopped, killed and started again by the test.
        ca_file: Trusts the TLS listener.
    """

    server: MosquittoServer
    ca_file: Path
    _hashes: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Address of both listeners."""
        return self.server.host

    @property
    def port(self) -> int:
        """Port of the plain listener."""
        return self.server.port

    @property
    def tls_port(self) -> int:
        """Port of the TLS listener."""
        return self.server.tls_port

    def user_url(self, user: str) -> str:
        """Return the plain listener's URL as a service user."""
        return self.server.user_url(user)

    def add_devices(self, *device_ids: str) -> dict[str, str]:
        """Let devices connect; return password by device id, the user name.

        The broker accepts them when this returns: it reads its files before it accepts the
        next connection.
        """
        passwords = {device_id: secrets.token_urlsafe(24) for device_id in device_ids}
        self.set_passwords(passwords)
        return passwords

    def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """Let devices connect with passwords that are given."""
        self._hashes.update({name: hash_password(value) for name, value in passwords.items()})
        self._publish()

    def remove_device(self, device_id: str) -> None:
        """Let the device connect no more."""
        del self._hashes[device_id]
        self._publish()

    def _publish(self) -> None:
        data_dir, pid = self.server.data_dir, self.server.pid
        services = {user: service_password(data_dir, user) for user in SERVICE_USERS}
        path = self.server.directory / "passwords"
        PasswordFile(path, services, lambda: reload(pid) if pid else None).publish(
            lambda: self._hashes
        )


@pytest.fixture(scope="session")
def server_dir() -> Iterator[Path]:
    """Yield a directory that the servers' users can enter, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="plumbline-tests-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@pytest.fixture(scope="session")
def _made_cluster(server_dir: Path) -> Path:
    """Return a data directory with a stopped PostgreSQL: copying one is faster than making one."""
    server = PostgresServer(server_dir / "made")
    server.start()
    server.wait_ready(_READY_DEADLINE_S)
    server.stop()
    return server.data_dir


@pytest.fixture
def data_dir(server_dir: Path, _made_cluster: Path) -> Iterator[Path]:
    """Yield a data directory of this test's own, in which PostgreSQL has been started once."""
    directory = server_dir / f"data-{next(_numbers)}"
    subprocess.run(["cp", "-a", _made_cluster, directory], check=True)
    (directory / "ports.json").unlink()
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres_server(server_dir: Path) -> Iterator[PostgresServer]:
    """Yield a running PostgreSQL; a test that kills it starts it again."""
    server = PostgresServer(server_dir / "shared")
    server.start()
    try:
        server.wait_ready(_READY_DEADLINE_S)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def _migrated_template(postgres_server: PostgresServer) -> str:
    with _superuser(postgres_server) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(_TEMPLATE), sql.Identifier(ROLE)
            )
        )
    migrate(postgres_server.database_url(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def database_url(postgres_server: PostgresServer, _migrated_template: str) -> Iterator[str]:
    """Yield the URL of a fresh database with the newest schema, owned by its user."""
    with _fresh_database(postgres_server, _migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(postgres_server: PostgresServer, _migrated_template: str) -> Iterator[str]:
    """Yield the same as ``database_url``, one for all tests of a module."""
    with _fresh_database(postgres_server, _migrated_template) as url:
        yield url


@contextmanager
def _fresh_database(server: PostgresServer, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    with _superuser(server) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier(ROLE)
            )
        )
    yield server.database_url(name)
    with _superuser(server) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _superuser(server: PostgresServer) -> psycopg.Connection:
    return psycopg.connect(server.database_url("postgres", SUPERUSER), autocommit=True)


@pytest.fixture(scope="session")
def redis_server(server_dir: Path) -> Iterator[RedisServer]:
    """Yield a running Redis; a test that kills it starts it again."""
    server = RedisServer(server_dir / "shared")
    server.start()
    try:
        server.wait_ready(_READY_DEADLINE_S)
        yield server
    finally:
        server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Return the URL of an empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def tls_files(server_dir: Path) -> TlsFiles:
    """Return certificates for ``localhost`` and ``127.0.0.1``."""
    return ensure_tls_files(server_dir / "tls")


@pytest.fixture
def mosquitto(server_dir: Path, tls_files: TlsFiles) -> Iterator[Broker]:
    """Yield a fresh broker with a plain and a TLS listener, and no devices."""
    data_dir = server_dir / f"broker-{next(_numbers)}"
    server = MosquittoServer(data_dir, tls=tls_files)
    server.start()
    try:
        server.wait_ready(_READY_DEADLINE_S)
        yield Broker(server, tls_files.ca_file)
    finally:
        server.stop()
        shutil.rmtree(data_dir)
