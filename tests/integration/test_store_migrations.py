"""The schema's migrations."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from plumbline.adapters.postgres.migrate import SchemaStatus, migrate, schema_status
from plumbline.errors import ConfigurationError, StoreUnavailable
from plumbline.local.servers.postgres import ROLE, SUPERUSER, PostgresServer
from store_world import connect

_NAME = "test_migrations"


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Yield the URL of a database without a schema, owned by its user, who is no superuser."""
    name = sql.Identifier(_NAME)
    with connect(postgres_server.database_url("postgres", SUPERUSER)) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(ROLE))
        )
        yield postgres_server.database_url(_NAME)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_all_revisions_are_applied_once(empty_database_url: str) -> None:
    before = schema_status(empty_database_url)
    assert before.current is None
    assert before.pending[-1] == before.head
    assert migrate(empty_database_url) == list(before.pending)
    assert schema_status(empty_database_url) == SchemaStatus(before.head, before.head, ())
    assert migrate(empty_database_url) == []


def test_two_migrations_at_once_are_one(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(migrate, [empty_database_url] * 4))
    assert sorted(applied)[:3] == [[], [], []]
    assert sorted(applied)[3] != []


def test_a_failed_migration_leaves_nothing_behind(empty_database_url: str) -> None:
    """All pending revisions are one transaction."""
    with connect(empty_database_url) as connection:
        connection.execute("CREATE TABLE queue ()")
    with pytest.raises(psycopg.errors.DuplicateTable):
        migrate(empty_database_url)
    with connect(empty_database_url) as connection:
        connection.execute("DROP TABLE queue")
    assert schema_status(empty_database_url).current is None
    assert migrate(empty_database_url) != []


def test_a_schema_from_the_future_is_refused(empty_database_url: str) -> None:
    migrate(empty_database_url)
    with connect(empty_database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="9999"):
        migrate(empty_database_url)
    with pytest.raises(ConfigurationError, match="9999"):
        schema_status(empty_database_url)


def test_a_database_that_cannot_be_reached_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        migrate("postgresql://nobody@127.0.0.1:1/nothing")


def test_only_a_migration_loads_sqlalchemy() -> None:
    """It would be a third of a function's cold start."""
    program = (
        "import sys, plumbline.adapters.postgres.migrate, plumbline.adapters.postgres.reading_store"
        "; sys.exit('sqlalchemy' in sys.modules or 'alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
