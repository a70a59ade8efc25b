"""A registry of devices in memory, and a broker that compares hashes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from plumbline.application.devices import NewPassword
from plumbline.domain.device import Device, Protocol
from plumbline.ports import RegisteredDevice


class FakeDeviceRegistry:
    """Devices in memory; passes the contract of the real one."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._hashes: dict[str, str] = {}

    def add(self, devices: Mapping[str, str | None], name: str) -> list[str]:
        existing = sorted(devices.keys() & self._devices.keys())
        for device_id, password_hash in {} if existing else devices.items():
            self._insert(device_id, password_hash, name)
        return existing

    def add_or_rotate(self, devices: Mapping[str, str]) -> None:
        for device_id, password_hash in devices.items():
            if device_id in self._devices:
                device = replace(self._devices[device_id], protocol=Protocol.MQTT)
                self._devices[device_id] = device
                self.rotate(device_id, password_hash)
            else:
                self._insert(device_id, password_hash, "")

    def rotate(self, device_id: str, password_hash: str) -> bool:
        device = self._devices.get(device_id)
        if device is None or device.protocol is not Protocol.MQTT:
            return False
        self._hashes[device_id] = password_hash
        self._devices[device_id] = replace(device, rotated_at=datetime.now(UTC))
        return True

    def set_disabled(self, device_id: str, *, disabled: bool) -> bool:
        device = self._devices.get(device_id)
        if device is None:
            return False
        since = device.disabled_at or datetime.now(UTC)
        self._devices[device_id] = replace(device, disabled_at=since if disabled else None)
        return True

    def get(self, device_id: str) -> RegisteredDevice | None:
        device = self._devices.get(device_id)
        return None if device is None else RegisteredDevice(device, None)

    def all(self) -> list[RegisteredDevice]:
        return [RegisteredDevice(self._devices[name], None) for name in sorted(self._devices)]

    def password_hashes(self) -> Mapping[str, str]:
        return {
            device_id: password_hash
            for device_id, password_hash in self._hashes.items()
            if self._devices[device_id].disabled_at is None
        }

    def _insert(self, device_id: str, password_hash: str | None, name: str) -> None:
        protocol = Protocol.LORAWAN if password_hash is None else Protocol.MQTT
        self._devices[device_id] = Device(device_id, name, protocol, datetime.now(UTC))
        if password_hash is not None:
            self._hashes[device_id] = password_hash


class FakeCredentials:
    """What a broker would accept."""

    def __init__(self) -> None:
        self.known: Mapping[str, str] = {}
        self.publications = 0

    def hash_password(self, password: str) -> str:
        return f"#{password}"

    def publish(self, current: Callable[[], Mapping[str, str]]) -> None:
        self.publications += 1
        self.known = current()

    def accepts(self, new: NewPassword) -> bool:
        return self.known.get(new.username) == f"#{new.password}"
