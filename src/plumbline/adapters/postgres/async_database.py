"""A pool of connections to PostgreSQL for one event loop, which knows when the server is away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import errors as pg
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from plumbline.adapters.postgres.access import connection_url
from plumbline.adapters.postgres.database import TRANSIENT
from plumbline.errors import PlumblineError, StoreUnavailable

Row = tuple[Any, ...]
AsyncConnection = psycopg.AsyncConnection[Row]
_T = TypeVar("_T")

_CONNECT_TIMEOUT_S = 5
# A server that restarts is back within this time: who asks meanwhile waits and gets an answer.
_RESTART_S = 3.0
# All connections at work is no reason to give up so soon.
_POOL_WAIT_S = 10.0
_MAX_WAITING = 2000
_PROBE_TIMEOUT_S = 1.0
_PROBE_EVERY_S = 0.25
_STATEMENT_TIMEOUT_S = 20
# The server gives up before this; so where it is over, the server does not even do that.
_ANSWER_TIMEOUT_S = 22.0
# A plan for any parameters would look at every day's partition; one for the given ones at theirs.
_OPTIONS = (
    f"-c statement_timeout={_STATEMENT_TIMEOUT_S}s -c TimeZone=UTC -c jit=off"
    " -c plan_cache_mode=force_custom_plan"
)

# What a server that shut down leaves behind; TRANSIENT has more that no repetition helps.
_BROKEN = (pg.AdminShutdown, pg.CrashShutdown, psycopg.InterfaceError)
_UNAVAILABLE = (*TRANSIENT, PoolTimeout, TooManyRequests)


class AsyncDatabase:
    """Connections in autocommit mode; use ``connection.transaction()``.

    While the server is away, who asks is told at once; a probe sees when it is back.

    Args:
        url: ``postgresql://…``, or another that ``connection_url`` knows.
        max_connections: Of this process.
    """

    def __init__(self, url: str, max_connections: int = 10) -> None:
        self._url = url
        self._pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            # In a thread: a token is signed with credentials that may have to be fetched first.
            lambda: asyncio.to_thread(connection_url, url),
            min_size=1,
            max_size=max_connections,
            open=False,
            timeout=_POOL_WAIT_S,
            max_waiting=_MAX_WAITING,
            max_idle=60.0,
            reconnect_timeout=_PROBE_TIMEOUT_S,  # then whoever asks next makes it try again
            kwargs={
                "autocommit": True,
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "options": _OPTIONS,
            },
        )
        self._away = False
        self._probe: asyncio.Task[bool] | None = None
        self._background: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Start the pool; the server need not answer yet."""
        await self._pool.open()

    async def close(self) -> None:
        """Close all connections."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection of the pool.

        Raises:
            StoreUnavailable: The server cannot serve, or not in time.
        """
        try:
            connection = await self._take()
            try:
                async with connection:
                    yield connection
            finally:
                await self._pool.putconn(connection)
        except _UNAVAILABLE as error:
            raise _unavailable(error) from error

    async def fetch(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None = None
    ) -> list[Row]:
        """Return all rows of one statement; once again, where the connection had been closed.

        For statements that only read: one that broke may be repeated. Who is cancelled goes at
        once; the statement is ended behind their back, which a server that hangs can draw out.

        Raises:
            StoreUnavailable: The server cannot serve, or not in time.
        """
        fetching = self._spawn(self._fetch(statement, parameters))
        try:
            for patience_s in (_RESTART_S, _ANSWER_TIMEOUT_S - _RESTART_S):
                await asyncio.wait((fetching,), timeout=patience_s)
                if fetching.done():
                    return fetching.result()
                if not await self._look():
                    break
        finally:
            fetching.cancel()
        msg = "no answer in time"
        raise StoreUnavailable(msg)

    async def _fetch(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None
    ) -> list[Row]:
        try:
            return await self._fetch_once(statement, parameters)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, _BROKEN):
                raise
        # After a restart of the server every connection of the pool is broken: look through them
        # once, instead of failing as many requests as there are connections.
        await self._pool.check()
        return await self._fetch_once(statement, parameters)

    async def _fetch_once(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None
    ) -> list[Row]:
        async with self.connection() as connection:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall()

    async def _take(self) -> AsyncConnection:
        if self._away:
            msg = "did not answer a moment ago"
            raise StoreUnavailable(msg)
        try:
            return await self._pool.getconn(_RESTART_S)
        except PoolTimeout:
            if not await self._look():
                raise
        return await self._pool.getconn(_POOL_WAIT_S)

    async def _look(self) -> bool:
        """Return whether the server answers; if not, nobody asks it until it does."""
        if self._probe is None or self._probe.done():
            self._probe = self._spawn(self._answers())
        answers = await asyncio.shield(self._probe)
        if not answers and not self._away:
            self._away = True
            self._spawn(self._wait_for_return())
        return answers

    async def _wait_for_return(self) -> None:
        while not await self._answers():  # noqa: ASYNC110 - nobody tells us, we have to ask
            await asyncio.sleep(_PROBE_EVERY_S)
        self._away = False
        await self._pool.check()

    async def _answers(self) -> bool:
        # A connection of its own: those of the pool may be what hangs.
        with contextlib.suppress(psycopg.Error, PlumblineError, OSError, TimeoutError):
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                url = await asyncio.to_thread(connection_url, self._url)
                connection = await psycopg.AsyncConnection.connect(url)
                await connection.close()
                return True
        return False

    def _spawn(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled():
            task.exception()  # seen: who wanted the result may be gone


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(str(error).partition("\n")[0])
