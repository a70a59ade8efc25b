"""Every registry of devices, the real one and the fake."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fake_devices import FakeDeviceRegistry
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.devices import PostgresDeviceRegistry
from plumbline.domain.device import Device, Protocol
from plumbline.errors import StoreUnavailable
from plumbline.ports import DeviceRegistry


@pytest.fixture(params=["fake", "postgres"])
def registry(request: pytest.FixtureRequest) -> Iterator[DeviceRegistry]:
    """Yield an empty registry."""
    if request.param == "fake":
        yield FakeDeviceRegistry()
    else:
        database = Database(request.getfixturevalue("database_url"), StoreUnavailable)
        yield PostgresDeviceRegistry(database)
        database.close()


def device(registry: DeviceRegistry, device_id: str) -> Device:
    """Return a registered device."""
    found = registry.get(device_id)
    assert found is not None
    return found.device


def test_an_added_device_is_found_as_it_was_given(registry: DeviceRegistry) -> None:
    assert registry.add({"d1": "hash"}, "North pier") == []
    found = device(registry, "d1")
    assert (found.device_id, found.name, found.protocol) == ("d1", "North pier", Protocol.MQTT)
    assert found.created_at.tzinfo is UTC
    assert datetime.now(UTC) - found.created_at < timedelta(minutes=1)
    assert found.rotated_at is None
    assert found.disabled_at is None
    assert registry.get("d2") is None


def test_a_device_without_a_hash_is_lorawan(registry: DeviceRegistry) -> None:
    registry.add({"d1": None}, "")
    assert device(registry, "d1").protocol is Protocol.LORAWAN
    assert registry.password_hashes() == {}
    assert not registry.rotate("d1", "hash")


def test_all_or_none_are_added(registry: DeviceRegistry) -> None:
    registry.add({"d2": "old"}, "")
    assert registry.add({"d1": "new", "d2": "new", "d3": "new"}, "") == ["d2"]
    assert registry.password_hashes() == {"d2": "old"}


def test_those_that_exist_are_rotated_on_demand(registry: DeviceRegistry) -> None:
    registry.add({"d1": "old", "d2": None}, "Pier")
    registry.add_or_rotate({"d1": "new", "d2": "new", "d3": "new"})
    assert registry.password_hashes() == {"d1": "new", "d2": "new", "d3": "new"}
    assert device(registry, "d1").name == "Pier"
    assert device(registry, "d1").rotated_at is not None
    assert device(registry, "d2").protocol is Protocol.MQTT
    assert device(registry, "d3").rotated_at is None


def test_rotation_replaces_the_hash(registry: DeviceRegistry) -> None:
    registry.add({"d1": "old"}, "")
    assert registry.rotate("d1", "new")
    assert registry.password_hashes() == {"d1": "new"}
    assert device(registry, "d1").rotated_at is not None
    assert not registry.rotate("d2", "new")


def test_a_disabled_device_may_not_connect_until_it_is_enabled(
    registry: DeviceRegistry,
) -> None:
    registry.add({"d1": "hash", "d2": "hash"}, "")
    assert registry.set_disabled("d1", disabled=True)
    since = device(registry, "d1").disabled_at
    assert since is not None
    assert registry.password_hashes() == {"d2": "hash"}

    assert registry.set_disabled("d1", disabled=True)
    assert device(registry, "d1").disabled_at == since
    registry.add_or_rotate({"d1": "new"})
    assert registry.password_hashes() == {"d2": "hash"}

    assert registry.set_disabled("d1", disabled=False)
    assert registry.password_hashes() == {"d1": "new", "d2": "hash"}
    assert not registry.set_disabled("d3", disabled=True)


def test_devices_are_listed_by_id(registry: DeviceRegistry) -> None:
    registry.add({"b": "hash", "a": "hash"}, "")
    assert [one.device.device_id for one in registry.all()] == ["a", "b"]
