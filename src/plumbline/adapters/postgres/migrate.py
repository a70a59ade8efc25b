"""Brings the schema to the newest revision.

Alembic and SQLAlchemy are imported only when a function here is called: nothing else needs them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from plumbline.adapters.postgres.access import connection_url
from plumbline.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

_SCRIPTS = "plumbline.adapters.postgres:migrations"

# Any constant; it names the lock that keeps two migrations apart.
_LOCK = 0x706C756D


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database's schema stands.

    Attributes:
        current: Applied revision, or None for an empty database.
        head: Newest revision of this version of Plumbline.
        pending: Revisions yet to apply, oldest first.
    """

    current: str | None
    head: str
    pending: tuple[str, ...]


def migrate(database_url: str) -> list[str]:
    """Apply all pending revisions and return them, oldest first.

    Two at once are safe: the second waits and finds nothing to do.

    Raises:
        StoreUnavailable: The database cannot be reached.
        ConfigurationError: The schema is of a newer version of Plumbline.
    """
    from alembic import command  # noqa: PLC0415 - loads SQLAlchemy

    with _alembic(database_url) as (config, scripts):
        pending = _status(config, scripts).pending
        if pending:
            command.upgrade(config, "head")
        return list(pending)


def schema_status(database_url: str) -> SchemaStatus:
    """Return where the database's schema stands.

    Raises:
        StoreUnavailable: The database cannot be reached.
        ConfigurationError: The schema is of a newer version of Plumbline.
    """
    with _alembic(database_url) as (config, scripts):
        return _status(config, scripts)


@contextmanager
def _alembic(database_url: str) -> Iterator[tuple["Config", "ScriptDirectory"]]:
    """Yield Alembic's configuration on a connection that holds the migration lock."""
    import sqlalchemy  # noqa: PLC0415 - see the module's docstring
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        # The URL goes to libpq as it is: it may be any connection string, with any option.
        creator=lambda: psycopg.connect(connection_url(database_url), connect_timeout=5),
        poolclass=sqlalchemy.NullPool,
    )
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(_LOCK)))
            connection.commit()
            config = Config()
            config.set_main_option("script_location", _SCRIPTS)
            config.attributes["connection"] = connection
            yield config, ScriptDirectory.from_config(config)
    except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
        raise StoreUnavailable(str(error).partition("\n")[0]) from error


def _status(config: "Config", scripts: "ScriptDirectory") -> SchemaStatus:
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - loads SQLAlchemy

    connection = config.attributes["connection"]
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    revisions = [script.revision for script in scripts.walk_revisions()][::-1]
    if current is not None and current not in revisions:
        msg = f"the database's schema is at revision {current}, which this version does not know"
        raise ConfigurationError(msg)
    applied = 0 if current is None else revisions.index(current) + 1
    return SchemaStatus(current, revisions[-1], tuple(revisions[applied:]))
