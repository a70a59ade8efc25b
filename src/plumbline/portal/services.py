"""What the handlers work with, made once a worker process."""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import Scope

from plumbline.adapters.postgres.async_database import AsyncDatabase
from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.application.issue_command import Commands
from plumbline.portal.credentials import CredentialStore
from plumbline.portal.guard import Guard
from plumbline.portal.ledger_reader import LedgerReader
from plumbline.portal.sign_in import SignIn
from plumbline.portal.status_cache import StatusReader
from plumbline.ports import Clock
from plumbline.settings import PortalSettings

SCOPE_KEY = "plumbline.services"
ROUTE_KEY = "plumbline.route"
"""Where the dispatcher puts the Route of the request before it asks the guard."""
PRINCIPAL_KEY = "plumbline.principal"
"""Where the guard puts who asks; absent on public routes."""
REQUEST_ID_KEY = "plumbline.request_id"


@dataclass(frozen=True, slots=True)
class Services:
    """One of each for all requests of a worker process."""

    settings: PortalSettings
    database: AsyncDatabase
    redis: MultiplexedRedis
    clock: Clock
    credentials: CredentialStore
    sign_in: SignIn
    guard: Guard
    statuses: StatusReader
    commands: Commands
    ledger: LedgerReader
    exports: asyncio.Semaphore
    """Held by every export under way."""


def services(request: Request) -> Services:
    """Return the services of the process."""
    return services_of(request.scope)


def services_of(scope: Scope) -> Services:
    """Return the services of the process."""
    found: Services = scope[SCOPE_KEY]
    return found
