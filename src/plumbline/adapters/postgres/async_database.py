"""A pool of connections to PostgreSQL for one event loop."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import errors as pg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from plumbline.adapters.postgres.access import connection_url
from plumbline.adapters.postgres.database import TRANSIENT
from plumbline.errors import StoreUnavailable

Row = tuple[Any, ...]
AsyncConnection = psycopg.AsyncConnection[Row]

_CONNECT_TIMEOUT_S = 5
_POOL_WAIT_S = 10.0
_MAX_WAITING = 2000
# A plan for any parameters would look at every day's partition; one for the given ones at theirs.
_OPTIONS = (
    "-c statement_timeout=30s -c TimeZone=UTC -c jit=off -c plan_cache_mode=force_custom_plan"
)

# What a server that shut down leaves behind; TRANSIENT has more that no repetition helps.
_BROKEN = (pg.AdminShutdown, pg.CrashShutdown, psycopg.InterfaceError)
_UNAVAILABLE = (*TRANSIENT, PoolTimeout, TooManyRequests)


class AsyncDatabase:
    """Connections in autocommit mode; use ``connection.transaction()``.

    Args:
        url: ``postgresql://…``, or another that ``connection_url`` knows.
        max_connections: Of this process.
    """

    def __init__(self, url: str, max_connections: int = 10) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            # In a thread: a token is signed with credentials that may have to be fetched first.
            lambda: asyncio.to_thread(connection_url, url),
            min_size=1,
            max_size=max_connections,
            open=False,
            timeout=_POOL_WAIT_S,
            max_waiting=_MAX_WAITING,
            max_idle=60.0,
            reconnect_timeout=5.0,
            kwargs={
                "autocommit": True,
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "options": _OPTIONS,
            },
        )

    async def open(self) -> None:
        """Start the pool; the server need not answer yet."""
        await self._pool.open()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection of the pool.

        Raises:
            StoreUnavailable: The server cannot serve, or not in time.
        """
        try:
            async with self._pool.connection() as connection:
                yield connection
        except _UNAVAILABLE as error:
            raise _unavailable(error) from error

    async def fetch(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[Row]:
        """Return all rows of one statement; once again, where the connection had been closed.

        For statements that only read: one that broke may be repeated.

        Raises:
            StoreUnavailable: The server cannot serve, or not in time.
        """
        for last in (False, True):
            try:
                async with self._pool.connection() as connection:
                    cursor = await connection.execute(statement, parameters)
                    return await cursor.fetchall()
            except _BROKEN as error:
                if last:
                    raise _unavailable(error) from error
                # After a restart of the server every connection of the pool is broken: look
                # through them once, instead of failing as many requests as there are connections.
                await self._pool.check()
            except _UNAVAILABLE as error:
                raise _unavailable(error) from error
        raise AssertionError  # pragma: no cover - the loop returns or raises


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(str(error).partition("\n")[0])
