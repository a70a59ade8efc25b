"""Signing in with tokens, on servers that take any password: what AWS's own do with it is AWS's."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
import redis

from plumbline import bootstrap
from plumbline.adapters.aws_tokens import signing_credentials
from plumbline.adapters.postgres.access import connection_url
from plumbline.adapters.postgres.async_database import AsyncDatabase
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.redis import RedisStatusCache
from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.errors import StoreUnavailable
from plumbline.local.servers.postgres import SUPERUSER, PostgresServer
from plumbline.local.servers.tls_files import TlsFiles, ensure_tls_files

READY_S = 60.0
ROLE = "plumbline_db1"
# As RDS with rds.force_ssl: whoever comes without TLS is turned away. Any password will do.
HBA = """\
hostssl all plumbline_db1 127.0.0.1/32 trust
hostnossl all plumbline_db1 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    signing_credentials.cache_clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    yield
    signing_credentials.cache_clear()


@pytest.fixture
def server(data_dir: Path, tls_files: TlsFiles) -> Iterator[PostgresServer]:
    """Yield a PostgreSQL that wants TLS."""
    server = PostgresServer(data_dir)
    data = server.directory / "data"
    for name, source in (
        ("server.crt", tls_files.certificate_file),
        ("server.key", tls_files.key_file),
    ):
        subprocess.run(["install", "-m", "0600", source, data / name], check=True)
        subprocess.run(["chown", "--reference", data, data / name], check=True)
    (data / "pg_hba.conf").write_text(HBA)
    with (data / "postgresql.conf").open("a") as file:
        file.write("ssl = on\nlog_connections = on\n")
    server.start()
    try:
        server.wait_ready(READY_S)
        with psycopg.connect(server.database_url("postgres", SUPERUSER)) as connection:
            connection.execute(f"CREATE ROLE {ROLE} LOGIN")
        yield server
    finally:
        server.stop()


def url_of(server: PostgresServer, ca_file: Path, host: str = "localhost") -> str:
    query = urlencode({"region": "eu-central-1", "sslrootcert": str(ca_file)})
    return f"postgresql+iam://{ROLE}@{host}:{server.port}/plumbline?{query}"


def test_a_token_signs_in_over_verified_tls(server: PostgresServer, tls_files: TlsFiles) -> None:
    database = Database(url_of(server, tls_files.ca_file), StoreUnavailable)
    with closing(database), database.connection() as connection:
        found = connection.execute(
            "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert found == (ROLE, True)

    async def ask() -> str:
        pool = AsyncDatabase(url_of(server, tls_files.ca_file))
        await pool.open()
        try:
            [[user]] = await pool.fetch("SELECT current_user")
            return str(user)
        finally:
            await pool.close()

    assert asyncio.run(ask()) == ROLE


def test_the_portals_pool_comes_back_after_the_server_did(
    server: PostgresServer, tls_files: TlsFiles
) -> None:
    async def restart() -> str:
        pool = AsyncDatabase(url_of(server, tls_files.ca_file))
        await pool.open()
        try:
            await pool.fetch("SELECT 1")
            await asyncio.to_thread(server.stop)
            with pytest.raises(StoreUnavailable):
                await pool.fetch("SELECT 1")
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(READY_S):
                while True:
                    with contextlib.suppress(StoreUnavailable):
                        [[user]] = await pool.fetch("SELECT current_user")
                        return str(user)
                    await asyncio.sleep(0.1)
        finally:
            await pool.close()

    assert asyncio.run(restart()) == ROLE


def test_the_registry_of_lorawan_devices_signs_in_with_a_token(
    server: PostgresServer, tls_files: TlsFiles
) -> None:
    registry = bootstrap.lorawan_devices(url_of(server, tls_files.ca_file))
    with pytest.raises(psycopg.errors.UndefinedTable, match="devices"):
        registry.find(["24e124713c140001"])


def test_a_server_that_is_not_the_named_one_is_refused(
    server: PostgresServer, tmp_path: Path, tls_files: TlsFiles
) -> None:
    other = ensure_tls_files(tmp_path / "other")
    database = Database(url_of(server, other.ca_file), StoreUnavailable)
    with pytest.raises(StoreUnavailable, match="certificate verify failed"), database.connection():
        pass
    url = connection_url(url_of(server, tls_files.ca_file)).replace("verify-full", "disable")
    with pytest.raises(psycopg.OperationalError, match="rejects connection"):
        psycopg.connect(url)


@pytest.fixture
def iam_redis_url(redis_url: str) -> Iterator[str]:
    """Yield the URL, with a token, of a Redis whose user takes any password."""
    with redis.Redis.from_url(redis_url) as admin:
        admin.execute_command(
            "ACL", "SETUSER", "plumbline-sync", "on", "nopass", "allkeys", "+@all"
        )
        admin.config_resetstat()
        place = redis_url.rpartition("@")[2].partition("/")[0]
        query = urlencode({"name": "redis-tilt", "region": "eu-central-1"})
        yield f"redis+iam://{quote('plumbline-sync')}@{place}/0?{query}"
        admin.execute_command("ACL", "DELUSER", "plumbline-sync")


def test_the_cache_signs_in_again_when_its_connection_was_ended(
    iam_redis_url: str, redis_url: str
) -> None:
    """As ElastiCache does after twelve hours."""
    cache = RedisStatusCache(iam_redis_url)
    assert cache.get_status("d1") is None
    with redis.Redis.from_url(redis_url) as admin:
        admin.execute_command("CLIENT", "KILL", "USER", "plumbline-sync")
    assert cache.get_status("d1") is None
    cache.close()


def test_the_portals_connection_signs_in_again_before_it_is_ended(
    iam_redis_url: str, redis_url: str
) -> None:
    # Of one connection, which signs in once itself.
    admin = redis.Redis.from_url(redis_url, single_connection_client=True)

    def sign_ins() -> int:
        return int(admin.info("commandstats")["cmdstat_auth"]["calls"])

    async def stay() -> None:
        client = MultiplexedRedis(iam_redis_url, sign_in_every_s=0.05)
        assert await client.execute("ACL", "WHOAMI") == b"plumbline-sync"
        identity = await client.execute("CLIENT", "ID")
        wanted = sign_ins() + 2
        async with asyncio.timeout(10):
            while sign_ins() < wanted:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.02)
        assert await client.execute("CLIENT", "ID") == identity, "another connection"
        await client.close()

    with closing(admin):
        asyncio.run(stay())
