"""Running portals; modules that need other ones have fixtures of their own by these names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plumbline.local.servers.redis import RedisServer
from portal_process import Client, PortalProcess
from portal_world import LORAWAN, add_device, add_fleet


@pytest.fixture
def portal(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[PortalProcess]:
    """Yield a running portal with a small fleet."""
    add_fleet(database_url)
    with PortalProcess(database_url, redis_url, tmp_path / "portal.log") as running:
        yield running


@pytest.fixture
def client(portal: PortalProcess) -> Client:
    """Return an operator's client, with an API token."""
    token = portal.api_token("operator", "read", "write")
    return portal.client(headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def module_portal(
    module_database_url: str, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PortalProcess]:
    """Yield a running portal with one device; its users stay from test to test of a module."""
    add_device(module_database_url, "tower", LORAWAN)
    log_path = tmp_path_factory.mktemp("portal") / "portal.log"
    with PortalProcess(module_database_url, redis_server.url, log_path) as running:
        yield running
