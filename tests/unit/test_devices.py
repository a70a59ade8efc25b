"""The registry of devices: what it refuses, and what it tells the broker."""

from dataclasses import replace
from typing import Any

import pytest

from fake_devices import FakeCredentials, FakeDeviceRegistry
from plumbline.application.devices import Devices
from plumbline.application.lorawan_entry import complete
from plumbline.domain.device import Lorawan, NetworkServer
from plumbline.errors import ConfigurationError, NotFound, PermanentError


@pytest.fixture
def broker() -> FakeCredentials:
    return FakeCredentials()


@pytest.fixture
def devices(broker: FakeCredentials) -> Devices:
    return Devices(FakeDeviceRegistry(), broker)


def lorawan(dev_eui: str = "1000000000000001", **changes: Any) -> Lorawan:  # noqa: ANN401 - of any field
    entry = Lorawan(
        dev_eui=dev_eui,
        network_server=NetworkServer.CHIRPSTACK,
        application="ca739e26-7b67-4f14-b69e-d568c22a5a75",
        sensor_model="milesight-em310-tilt",
    )
    return replace(entry, **changes)


def test_an_added_device_may_connect_with_a_long_password_of_its_own(
    devices: Devices, broker: FakeCredentials
) -> None:
    first, second = devices.add("d1"), devices.add("d2")
    assert broker.accepts(first)
    assert broker.accepts(second)
    assert first.username == "d1"
    assert len(first.password) >= 32
    assert first.password != second.password
    assert first.password not in repr(first)


@pytest.mark.parametrize("device_id", ["", "a/b", "a+", "#", "ü", "d 1", "x" * 51, "d1\n"])
def test_what_is_no_device_id_is_refused(devices: Devices, device_id: str) -> None:
    with pytest.raises(PermanentError, match="no device id"):
        devices.add(device_id)
    with pytest.raises(PermanentError, match="no device id"):
        devices.add_lorawan({device_id: lorawan()})


@pytest.mark.parametrize("device_id", ["plumbline-ingest", "plumbline-command", "plumbline-x"])
def test_names_of_services_are_refused(devices: Devices, device_id: str) -> None:
    with pytest.raises(PermanentError, match="Plumbline's own"):
        devices.add(device_id)


def test_a_second_device_of_that_id_is_refused_and_changes_nothing(
    devices: Devices, broker: FakeCredentials
) -> None:
    first = devices.add("d1")
    with pytest.raises(PermanentError, match="registered already: d1"):
        devices.add("d1")
    with pytest.raises(PermanentError, match="registered already: d1"):
        devices.add_many(["d0", "d1"])
    with pytest.raises(NotFound):
        devices.show("d0")
    assert broker.accepts(first)


def test_many_are_published_once(devices: Devices, broker: FakeCredentials) -> None:
    new = devices.add_many([f"d{number}" for number in range(1000)])
    assert all(map(broker.accepts, new))
    assert broker.publications == 1


def test_the_same_id_twice_is_refused(devices: Devices) -> None:
    with pytest.raises(PermanentError, match="twice"):
        devices.add_many(["d1", "d1"])


def test_many_may_rotate_what_exists(devices: Devices, broker: FakeCredentials) -> None:
    old = devices.add("d1")
    new = devices.add_many(["d1", "d2"], rotate=True)
    assert not broker.accepts(old)
    assert all(map(broker.accepts, new))


def test_rotation_ends_the_old_password(devices: Devices, broker: FakeCredentials) -> None:
    old = devices.add("d1")
    new = devices.rotate("d1")
    assert broker.accepts(new)
    assert not broker.accepts(old)


def test_a_disabled_device_comes_back_with_the_password_it_had(
    devices: Devices, broker: FakeCredentials
) -> None:
    password = devices.add("d1")
    devices.disable("d1")
    assert not broker.accepts(password)
    devices.enable("d1")
    assert broker.accepts(password)


def test_a_lorawan_device_has_no_password(devices: Devices, broker: FakeCredentials) -> None:
    devices.add_lorawan({"d1": lorawan()}, name="Wall")
    assert broker.known == {}
    assert devices.show("d1").device.lorawan == lorawan()
    with pytest.raises(NotFound, match="no MQTT device d1"):
        devices.rotate("d1")
    with pytest.raises(PermanentError, match="have no password: d1"):
        devices.add_many(["d1", "d2"], rotate=True)


def test_a_second_lorawan_device_of_that_id_or_dev_eui_is_refused(devices: Devices) -> None:
    devices.add_lorawan({"d1": lorawan()})
    with pytest.raises(PermanentError, match="registered already: d1"):
        devices.add_lorawan({"d1": lorawan("2" * 16)})
    with pytest.raises(PermanentError, match="DevEUI 1000000000000001 is that of device d1"):
        devices.add_lorawan({"d2": lorawan()})
    with pytest.raises(PermanentError, match="the same DevEUI twice"):
        devices.add_lorawan({"d2": lorawan("3" * 16), "d3": lorawan("3" * 16)})


def test_what_an_operator_says_of_a_lorawan_device_is_completed() -> None:
    for written in ("24:E1:24:00:0A:00:00:01", "24-e1-24-00-0a-00-00-01", "24E124000A000001"):
        assert complete(lorawan(written)).dev_eui == "24e124000a000001"
    things_stack = lorawan(network_server=NetworkServer.THINGS_STACK)
    found = complete(things_stack)
    assert (found.tenant, found.network_device_id) == ("ttn", "eui-1000000000000001")
    assert complete(replace(things_stack, tenant="")).tenant == ""
    assert complete(lorawan(sensor_model="acme-t1"), without_codec=True).sensor_model == "acme-t1"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dev_eui": "24e124"}, "dev-eui"),
        ({"dev_eui": "g" * 16}, "dev-eui"),
        ({"dev_eui": "１" * 16}, "dev-eui"),
        ({"sensor_model": "acme-t1"}, "sensor-model: no codec"),
        ({"sensor_model": ""}, "sensor-model"),
        ({"application": ""}, "application"),
        ({"application": "a/b"}, "application"),
        ({"application": "+"}, "application"),
        ({"application": "a\0"}, "application"),
        ({"tenant": "ttn"}, "ChirpStack has none"),
        ({"network_device_id": "d"}, "ChirpStack has none"),
        ({"network_server": NetworkServer.THINGS_STACK, "tenant": "a#"}, "tenant"),
        (
            {"network_server": NetworkServer.THINGS_STACK, "network_device_id": "a/b"},
            "network-device-id",
        ),
        ({"uplink_interval_s": 0}, "uplink-interval"),
    ],
)
def test_a_wrong_value_of_a_lorawan_device_is_named(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        complete(lorawan(**changes))


def test_what_is_not_registered_is_not_found(devices: Devices) -> None:
    for change in (devices.rotate, devices.disable, devices.enable, devices.show):
        with pytest.raises(NotFound, match="d1"):
            change("d1")


def test_all_devices_are_listed(devices: Devices) -> None:
    devices.add_many(["b", "a"])
    assert [one.device.device_id for one in devices.list()] == ["a", "b"]
