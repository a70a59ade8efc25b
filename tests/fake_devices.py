"""A registry of devices in memory, and a broker that compares hashes."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from plumbline.application.devices import NewPassword
from plumbline.domain.device import Device, Lorawan, Protocol
from plumbline.ports import RegisteredDevice


class FakeDeviceRegistry:
    """Devices in memory; passes the contract of the real one."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._hashes: dict[str, str] = {}

    def add(self, devices: Mapping[str, str], name: str) -> list[str]:
        existing = sorted(devices.keys() & self._devices.keys())
        for device_id, password_hash in {} if existing else devices.items():
            self._insert(device_id, password_hash, name)
        return existing

    def add_or_rotate(self, devices: Mapping[str, str]) -> list[str]:
        lorawan = [
            device_id
            for device_id in sorted(devices)
            if device_id in self._devices and self._devices[device_id].lorawan
        ]
        for device_id, password_hash in {} if lorawan else devices.items():
            if not self.rotate(device_id, password_hash):
                self._insert(device_id, password_hash, "")
        return lorawan

    def add_lorawan(
        self, devices: Mapping[str, Lorawan], name: str, *, replace: bool = False
    ) -> list[tuple[str, str | None]]:
        wanted = {one.dev_eui for one in devices.values()}
        found: list[tuple[str, str | None]] = []
        for device_id, known in sorted(self._devices.items()):
            dev_eui = None if known.lorawan is None else known.lorawan.dev_eui
            replaced = replace and device_id in devices and dev_eui is not None
            if not replaced and (device_id in devices or dev_eui in wanted):
                found.append((device_id, dev_eui))
        for device_id, lorawan in {} if found else devices.items():
            present = self._devices.get(device_id) or Device(
                device_id, name, Protocol.LORAWAN, datetime.now(UTC)
            )
            self._devices[device_id] = dataclasses.replace(present, lorawan=lorawan)
        return found

    def rotate(self, device_id: str, password_hash: str) -> bool:
        device = self._devices.get(device_id)
        if device is None or device.protocol is not Protocol.MQTT:
            return False
        self._hashes[device_id] = password_hash
        self._devices[device_id] = dataclasses.replace(device, rotated_at=datetime.now(UTC))
        return True

    def set_disabled(self, device_id: str, *, disabled: bool) -> bool:
        device = self._devices.get(device_id)
        if device is None:
            return False
        since = device.disabled_at or datetime.now(UTC)
        self._devices[device_id] = dataclasses.replace(
            device, disabled_at=since if disabled else None
        )
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

    def _insert(self, device_id: str, password_hash: str, name: str) -> None:
        self._devices[device_id] = Device(device_id, name, Protocol.MQTT, datetime.now(UTC))
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
