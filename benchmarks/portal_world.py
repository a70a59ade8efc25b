"""A running system with a fleet and users, for measuring its portal."""

import contextlib
import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
import psycopg

from benchmarks import portal_data
from benchmarks.system import System, running_system
from plumbline import bootstrap
from plumbline.domain.account import Role, Scope

PASSWORD = "a password for benchmarks"  # noqa: S105 - of a system that lives for one benchmark

# On, as always, but for more than anybody sends: one address sends everything here.
_SETTINGS = {"PORTAL_RATE_LIMIT": "1000000000"}
_EXPORTS = "plumbline.adapters.postgres.export_process"
_TOKEN_LIFE_S = 12 * 3600
# With the same password, whose hash takes long on purpose.
_USERS = """
INSERT INTO users (username, role, password_hash)
SELECT 'user-' || n, role, password_hash
FROM users, generate_series(1, %(users)s::int) n WHERE username = 'bench'
"""


@dataclass(frozen=True, slots=True)
class World:
    """A running system.

    Attributes:
        system: `plumbline up`, with its portal as it always is.
        token: An API token of an operator.
    """

    system: System
    token: str

    @property
    def url(self) -> str:
        """Of the portal."""
        return self.system.endpoints.portal_url

    def portal(self) -> psutil.Process:
        """Return the portal's first process, whose children the workers are."""
        return next(
            process
            for process in self.system.up.children()
            if "plumbline.portal" in process.cmdline()
        )

    def portal_mb(self) -> float:
        """Return the memory that the portal's processes have of their own, MiB."""
        portal = self.portal()
        return sum(
            one.memory_full_info().uss for one in [portal, *portal.children(recursive=True)]
        ) / (1 << 20)

    def export_mb(self) -> float:
        """Return the resident memory of the process that exports, MiB; 0 while there is none."""
        for one in self.portal().children(recursive=True):
            with contextlib.suppress(psutil.Error):  # ended at this moment
                if _EXPORTS in one.cmdline():
                    return one.memory_info().rss / (1 << 20)
        return 0.0

    def get(self, path: str) -> bytes:
        """Return what an API user gets."""
        with self.asked(path) as response:
            return response.read()

    @contextmanager
    def asked(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """Yield the answer to an API user."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            if response.status != http.client.OK:
                msg = f"{path}: {response.status} {response.read()!r}"
                raise RuntimeError(msg)
            yield response
        finally:
            connection.close()


@contextmanager
def running_world(rows: int, users: int) -> Iterator[World]:
    """Start the system with so many readings of 90 days and so many users."""
    with running_system(_SETTINGS) as system:
        endpoints = system.endpoints
        portal_data.fill(endpoints.database_url, rows)
        portal_data.summarise(endpoints.database_url)
        accounts = bootstrap.accounts(endpoints.database_url, endpoints.redis_url, "bench")
        accounts.ensure("bench", PASSWORD, Role.OPERATOR)
        token = accounts.add_token("bench", "", list(Scope), _TOKEN_LIFE_S).secret
        with psycopg.connect(endpoints.database_url) as connection:
            connection.execute(_USERS, {"users": users})
        yield World(system, token)
