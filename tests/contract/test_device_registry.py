"""Every registry of devices, the real one and the fake."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fake_devices import FakeDeviceRegistry
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.devices import PostgresDeviceRegistry
from plumbline.domain.device import Device, DeviceClass, Lorawan, NetworkServer, Protocol
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


def lorawan(dev_eui: str = "1000000000000001", **changes: Any) -> Lorawan:  # noqa: ANN401 - of any field
    """Make what a device at a ChirpStack is known by."""
    entry = Lorawan(
        dev_eui=dev_eui,
        network_server=NetworkServer.CHIRPSTACK,
        application="app",
        sensor_model="milesight-em310-tilt",
    )
    return replace(entry, **changes)


def test_an_added_device_is_found_as_it_was_given(registry: DeviceRegistry) -> None:
    assert registry.add({"d1": "hash"}, "North pier") == []
    found = device(registry, "d1")
    assert (found.device_id, found.name, found.protocol) == ("d1", "North pier", Protocol.MQTT)
    assert found.created_at.tzinfo is UTC
    assert datetime.now(UTC) - found.created_at < timedelta(minutes=1)
    assert found.rotated_at is None
    assert found.disabled_at is None
    assert registry.get("d2") is None


def test_a_lorawan_device_is_found_as_it_was_given(registry: DeviceRegistry) -> None:
    given = lorawan(
        network_server=NetworkServer.THINGS_STACK,
        tenant="",
        network_device_id="eui-1000000000000001",
        uplink_interval_s=600,
        device_class=DeviceClass.C,
    )
    assert registry.add_lorawan({"d1": given}, "Wall") == []
    found = device(registry, "d1")
    assert (found.name, found.protocol, found.lorawan) == ("Wall", Protocol.LORAWAN, given)
    assert registry.password_hashes() == {}
    assert not registry.rotate("d1", "hash")
    registry.add({"d2": "hash"}, "")
    assert device(registry, "d2").lorawan is None


def test_no_two_devices_have_one_dev_eui(registry: DeviceRegistry) -> None:
    one, other = lorawan(), lorawan("1000000000000002")
    registry.add_lorawan({"d1": one}, "")
    assert registry.add_lorawan({"d2": one, "d3": other}, "") == [("d1", one.dev_eui)]
    assert registry.get("d3") is None
    assert registry.add_lorawan({"d1": other}, "") == [("d1", one.dev_eui)]
    assert registry.add({"d1": "hash"}, "") == ["d1"]


def test_a_lorawan_device_is_replaced_on_demand(registry: DeviceRegistry) -> None:
    one, other = lorawan(), lorawan("1000000000000002")
    registry.add_lorawan({"d1": one}, "Pier")
    registry.add({"d2": "hash"}, "")
    assert registry.add_lorawan({"d1": other, "d3": one}, "", replace=True) == []
    assert device(registry, "d1").name == "Pier"
    assert device(registry, "d1").lorawan == other
    assert device(registry, "d3").lorawan == one
    changed = lorawan(other.dev_eui, sensor_model="netvox-r718eb")
    assert registry.add_lorawan({"d1": changed}, "", replace=True) == []
    assert registry.add_lorawan({"d1": one}, "", replace=True) == [("d3", one.dev_eui)]
    assert registry.add_lorawan({"d2": lorawan("2" * 16)}, "", replace=True) == [("d2", None)]
    assert device(registry, "d1").lorawan == changed


def test_all_or_none_are_added(registry: DeviceRegistry) -> None:
    registry.add({"d2": "old"}, "")
    assert registry.add({"d1": "new", "d2": "new", "d3": "new"}, "") == ["d2"]
    assert registry.password_hashes() == {"d2": "old"}


def test_those_that_exist_are_rotated_on_demand(registry: DeviceRegistry) -> None:
    registry.add({"d1": "old"}, "Pier")
    assert registry.add_or_rotate({"d1": "new", "d3": "new"}) == []
    assert registry.password_hashes() == {"d1": "new", "d3": "new"}
    assert device(registry, "d1").name == "Pier"
    assert device(registry, "d1").rotated_at is not None
    assert device(registry, "d3").rotated_at is None


def test_a_lorawan_device_never_gets_a_password(registry: DeviceRegistry) -> None:
    registry.add({"d1": "old"}, "")
    registry.add_lorawan({"d2": lorawan()}, "")
    assert registry.add_or_rotate({"d1": "new", "d2": "new", "d3": "new"}) == ["d2"]
    assert registry.password_hashes() == {"d1": "old"}
    assert device(registry, "d2").lorawan == lorawan()


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
