"""One connection to PostgreSQL that comes back after the server did."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg

from plumbline.adapters.postgres.access import connection_url
from plumbline.errors import TransientError

# What the server says while it cannot serve, beside a broken connection: try again.
TRANSIENT = (
    psycopg.OperationalError,  # connection failures, shutdown, recovery, resources
    psycopg.InterfaceError,  # the connection is closed
    pg.DeadlockDetected,
    pg.SerializationFailure,
    pg.LockNotAvailable,
    pg.QueryCanceled,
    pg.IdleInTransactionSessionTimeout,
    pg.ReadOnlySqlTransaction,  # a failover left us on the replica
)

_CONNECT_TIMEOUT_S = 5
_SILENCE_S = 30.0
_PROBE_AFTER_S, _PROBE_EVERY_S = 15, 5
# Who vanished in the middle of a transaction must not keep its locks for ever.
_OPTIONS = "-c idle_in_transaction_session_timeout=60s"


class Database:
    """A lazily opened connection for one thread; reopened after it broke, closed with this object.

    Args:
        url: ``postgresql://…``, or another that ``connection_url`` knows.
        unavailable: The error that a failure of the server becomes.
        silence_s: How long the network may not acknowledge anything before the connection is
            taken for broken.
    """

    def __init__(
        self, url: str, unavailable: type[TransientError], *, silence_s: float = _SILENCE_S
    ) -> None:
        self._url = url
        self._silence_ms = round(silence_s * 1000)
        self._unavailable = unavailable
        self._connection: psycopg.Connection | None = None
        self._closing: weakref.finalize[[], Database] | None = None

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """Yield the connection, in autocommit mode; use ``with connection.transaction()``.

        Raises:
            TransientError: Of the class given, where the server cannot serve. The connection is
                dropped and the next call opens another.
        """
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(
                    connection_url(self._url),
                    autocommit=True,
                    connect_timeout=_CONNECT_TIMEOUT_S,
                    keepalives_idle=_PROBE_AFTER_S,
                    keepalives_interval=_PROBE_EVERY_S,
                    tcp_user_timeout=self._silence_ms,
                    options=_OPTIONS,
                )
                # A command that was run in a function leaves nothing open for the next one.
                self._closing = weakref.finalize(self, self._connection.close)
                self._closing.atexit = False
            yield self._connection
        except TRANSIENT as error:
            self.close()
            raise self._unavailable(str(error).partition("\n")[0]) from error

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._closing is not None:
            self._closing()
        self._connection = self._closing = None
