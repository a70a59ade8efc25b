"""The registry of devices: what it refuses, and what it tells the broker."""

import pytest

from fake_devices import FakeCredentials, FakeDeviceRegistry
from plumbline.application.devices import Devices, NewPassword
from plumbline.domain.device import Protocol
from plumbline.errors import NotFound, PermanentError


@pytest.fixture
def broker() -> FakeCredentials:
    return FakeCredentials()


@pytest.fixture
def devices(broker: FakeCredentials) -> Devices:
    return Devices(FakeDeviceRegistry(), broker)


def add(devices: Devices, device_id: str) -> NewPassword:
    new = devices.add(device_id)
    assert new is not None
    return new


def test_an_added_device_may_connect_with_a_long_password_of_its_own(
    devices: Devices, broker: FakeCredentials
) -> None:
    first, second = add(devices, "d1"), add(devices, "d2")
    assert broker.accepts(first)
    assert broker.accepts(second)
    assert first.username == "d1"
    assert len(first.password) >= 32
    assert first.password != second.password
    assert first.password not in repr(first)


@pytest.mark.parametrize("device_id", ["", "a/b", "a+", "#", "ü", "d 1", "x" * 51, "d1\n"])
def test_what_is_no_device_id_is_refused(devices: Devices, device_id: str) -> None:
    for protocol in Protocol:
        with pytest.raises(PermanentError, match="no device id"):
            devices.add(device_id, protocol=protocol)


@pytest.mark.parametrize("device_id", ["plumbline-ingest", "plumbline-command", "plumbline-x"])
def test_names_of_services_are_refused(devices: Devices, device_id: str) -> None:
    with pytest.raises(PermanentError, match="Plumbline's own"):
        devices.add(device_id)


def test_a_second_device_of_that_id_is_refused_and_changes_nothing(
    devices: Devices, broker: FakeCredentials
) -> None:
    first = add(devices, "d1")
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
    old = add(devices, "d1")
    new = devices.add_many(["d1", "d2"], rotate=True)
    assert not broker.accepts(old)
    assert all(map(broker.accepts, new))


def test_rotation_ends_the_old_password(devices: Devices, broker: FakeCredentials) -> None:
    old = add(devices, "d1")
    new = devices.rotate("d1")
    assert broker.accepts(new)
    assert not broker.accepts(old)


def test_a_disabled_device_comes_back_with_the_password_it_had(
    devices: Devices, broker: FakeCredentials
) -> None:
    password = add(devices, "d1")
    devices.disable("d1")
    assert not broker.accepts(password)
    devices.enable("d1")
    assert broker.accepts(password)


def test_a_lorawan_device_has_no_password(devices: Devices, broker: FakeCredentials) -> None:
    assert devices.add("d1", protocol=Protocol.LORAWAN) is None
    assert broker.known == {}
    with pytest.raises(NotFound, match="no MQTT device d1"):
        devices.rotate("d1")


def test_what_is_not_registered_is_not_found(devices: Devices) -> None:
    for change in (devices.rotate, devices.disable, devices.enable, devices.show):
        with pytest.raises(NotFound, match="d1"):
            change("d1")


def test_all_devices_are_listed(devices: Devices) -> None:
    devices.add_many(["b", "a"])
    assert [one.device.device_id for one in devices.list()] == ["a", "b"]
