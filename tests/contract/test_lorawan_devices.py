"""Every registry as uplinks ask it, the real one and the fake."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import psycopg
import pytest

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.devices import PostgresDeviceRegistry
from plumbline.adapters.postgres.lorawan_devices import PostgresLorawanDevices
from plumbline.domain.device import DeviceClass
from plumbline.errors import StoreUnavailable
from plumbline.ports import LorawanDevice, LorawanDevices
from uplink_events import (
    DEV_EUI,
    OTHER_EUI,
    FakeLorawanDevices,
    entry,
    things_stack_entry,
)

PIER = entry(uplink_interval_s=600)
WALL = things_stack_entry(OTHER_EUI, tenant="", device_class=DeviceClass.C)


@dataclass
class Registry:
    """Two devices, of which the second is disabled, and what takes the registry away."""

    devices: LorawanDevices
    go_away: Callable[[], None]


@pytest.fixture(params=["fake", "postgres"])
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    if request.param == "fake":
        fake = FakeLorawanDevices(pier=PIER, wall=WALL)
        fake.disabled.add("wall")
        yield Registry(fake, lambda: setattr(fake, "away", True))
        return
    url = request.getfixturevalue("database_url")
    with closing(Database(url, StoreUnavailable)) as database:
        registered = PostgresDeviceRegistry(database)
        registered.add({"tower": "hash"}, "")
        registered.add_lorawan({"pier": PIER, "wall": WALL}, "")
        registered.set_disabled("wall", disabled=True)
        yield Registry(PostgresLorawanDevices(database), lambda: end_connections(url))


def end_connections(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_registered_devices_are_found_as_they_were_given(registry: Registry) -> None:
    assert registry.devices.find([DEV_EUI, OTHER_EUI, "3" * 16]) == {
        DEV_EUI: LorawanDevice("pier", PIER, disabled=False),
        OTHER_EUI: LorawanDevice("wall", WALL, disabled=True),
    }
    assert registry.devices.find({DEV_EUI}).keys() == {DEV_EUI}
    assert registry.devices.find([]) == {}


def test_a_registry_that_is_away_says_so(registry: Registry) -> None:
    registry.devices.find([DEV_EUI])
    registry.go_away()
    with pytest.raises(StoreUnavailable):
        registry.devices.find([DEV_EUI])
