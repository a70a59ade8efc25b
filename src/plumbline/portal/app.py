"""The ASGI application."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from plumbline import bootstrap
from plumbline.adapters.argon2 import Argon2Hasher
from plumbline.adapters.clock import SystemClock
from plumbline.adapters.postgres.async_database import AsyncDatabase
from plumbline.adapters.postgres.commands import PostgresCommands
from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.application.issue_command import Commands
from plumbline.portal.access_log import AccessLog
from plumbline.portal.cached_status import CachedStatus
from plumbline.portal.credentials import CredentialStore
from plumbline.portal.dispatch import Dispatcher
from plumbline.portal.guard import Guard
from plumbline.portal.ledger_reader import LedgerReader
from plumbline.portal.logs import log_as_json
from plumbline.portal.orphans import end_with_server
from plumbline.portal.rate_limit import RateLimit
from plumbline.portal.relay import RelayThread
from plumbline.portal.request_head import HEAD_KEY, HeadReader
from plumbline.portal.routes import ROUTES
from plumbline.portal.safety import Safety
from plumbline.portal.services import SCOPE_KEY, Services
from plumbline.portal.sign_in import SignIn
from plumbline.portal.status_cache import StatusReader
from plumbline.settings import PortalSettings, load

# Of one process; each has a connection and a thread for as long as its reader takes.
_EXPORTS_AT_ONCE = 4

_NEW_OBJECTS_BEFORE_COLLECTION = 50_000


class Portal:
    """All routes, behind all that a request passes first.

    Args:
        settings: Of this process.
    """

    def __init__(self, settings: PortalSettings) -> None:
        self._settings = settings
        self._services = make_services(settings)
        limit = settings.portal_rate_limit
        rate_limit = RateLimit(self._services.redis, limit) if limit else None
        self._heads = HeadReader(settings.portal_trusted_proxies, settings.portal_loopback_cookie)
        app = Safety(
            Dispatcher(ROUTES),
            rate_limit=rate_limit,
            max_body_bytes=settings.portal_max_body_bytes,
            timeout_s=settings.portal_request_timeout_s,
            stall_timeout_s=settings.portal_stall_timeout_s,
        )
        self._log = AccessLog(CachedStatus(app, rate_limit, self._services))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            scope[SCOPE_KEY] = self._services
            scope[HEAD_KEY] = self._heads.read(scope)
            await self._log(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        await self._services.database.open()
        _spare_collector()
        relay = RelayThread(self._settings)
        relay.start()
        try:
            yield
        finally:
            await run_in_threadpool(relay.stop)
            self._log.write()
            await self._services.redis.close()
            await self._services.database.close()


def _spare_collector() -> None:
    """Let the garbage collector leave alone what lives as long as the process.

    Else it looks through all modules again and again: a seventh of the time under load. What
    requests leave behind is freed by its last reference; cycles among it are rare.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS_BEFORE_COLLECTION)


def create_app() -> Portal:
    """Make the application of a worker from the environment."""
    end_with_server()
    log_as_json()
    return Portal(load(PortalSettings))


def make_services(settings: PortalSettings) -> Services:
    """Make what the handlers work with; the database is to be opened."""
    url = settings.database_url.reveal()
    database = AsyncDatabase(url)
    redis = MultiplexedRedis(settings.redis_url.reveal())
    credentials = CredentialStore(database, redis)
    clock = SystemClock()
    queues = {"distributing": settings.distributing_queue_url, "db1": settings.db1_queue_url}
    return Services(
        settings=settings,
        database=database,
        redis=redis,
        clock=clock,
        credentials=credentials,
        sign_in=SignIn(database, credentials, Argon2Hasher()),
        guard=Guard(credentials, settings.portal_public_origin),
        statuses=StatusReader(database, redis, clock),
        commands=Commands(PostgresCommands(database), clock),
        ledger=LedgerReader(database, bootstrap.ledger(url, queues)),
        exports=asyncio.Semaphore(_EXPORTS_AT_ONCE),
    )
