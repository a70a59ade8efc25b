"""The registry of devices, and their passwords at the broker."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from plumbline.domain.device import Lorawan
from plumbline.domain.reading import is_device_id
from plumbline.errors import NotFound, PermanentError
from plumbline.ports import DeviceCredentials, DeviceRegistry, RegisteredDevice

RESERVED_PREFIX = "plumbline-"
"""Begins the user names of Plumbline's own services; a device of that name would be one."""

_PASSWORD_BYTES = 24
_LISTED = 5


@dataclass(frozen=True, slots=True)
class NewPassword:
    """What a device connects with; the password is shown once and kept nowhere.

    Attributes:
        username: The device id; the broker makes it the client id, too.
        password: 192 random bits as 32 URL-safe characters.
    """

    username: str
    password: str = field(repr=False)


class Devices:
    """Adds and changes devices; each change reaches the broker before the method returns.

    The registry comes first: where the broker cannot be told, the change is stored all the same
    and reaches the broker with the next one. Every method raises StoreUnavailable where the
    registry cannot serve.
    """

    def __init__(self, registry: DeviceRegistry, credentials: DeviceCredentials) -> None:
        self._registry = registry
        self._credentials = credentials

    def add(self, device_id: str, *, name: str = "") -> NewPassword:
        """Add one MQTT device and return its password.

        Raises:
            PermanentError: Not a device id, a reserved one, or one that exists already.
        """
        return self._add([device_id], name)[0]

    def add_lorawan(
        self, devices: Mapping[str, Lorawan], *, name: str = "", replace: bool = False
    ) -> None:
        """Add LoRaWAN devices, all or none; their network server connects for them.

        Args:
            devices: By id.
            name: Of each.
            replace: Those that exist get the new values.

        Raises:
            PermanentError: Not a device id, a reserved one, or one that exists already; a DevEUI
                that another device has.
        """
        _require_valid(list(devices))
        euis = {one.dev_eui: device_id for device_id, one in devices.items()}
        if len(euis) < len(devices):
            msg = "the same DevEUI twice"
            raise PermanentError(msg)
        found = self._registry.add_lorawan(devices, name, replace=replace)
        _require_new([device_id for device_id, _ in found if device_id in devices])
        for device_id, dev_eui in found:
            msg = f"DevEUI {dev_eui} is that of device {device_id} already"
            raise PermanentError(msg)

    def add_many(self, device_ids: Sequence[str], *, rotate: bool = False) -> Sequence[NewPassword]:
        """Add MQTT devices, all or none.

        Args:
            device_ids: Without duplicates.
            rotate: Give those that exist a new password, instead of refusing.
        Returns:
            Their passwords, in the order given.
        Raises:
            PermanentError: Not a device id, a reserved one, one that exists already, or that of a
                LoRaWAN device.
        """
        if not rotate:
            return self._add(device_ids, "")
        _require_valid(device_ids)
        passwords = [_new_password(device_id) for device_id in device_ids]
        if lorawan := self._registry.add_or_rotate(self._hashes(passwords)):
            msg = f"LoRaWAN devices have no password: {_some(lorawan)}"
            raise PermanentError(msg)
        self.publish()
        return passwords

    def rotate(self, device_id: str) -> NewPassword:
        """Replace the password; a connection with the old one ends.

        Raises:
            NotFound: No such device, or one without a password of its own.
        """
        password = _new_password(device_id)
        new_hash = self._credentials.hash_password(password.password)
        if not self._registry.rotate(device_id, new_hash):
            msg = f"no MQTT device {device_id}"
            raise NotFound(msg)
        self.publish()
        return password

    def disable(self, device_id: str) -> None:
        """Let the device connect no more; its connection ends, its readings stay.

        Raises:
            NotFound: No such device.
        """
        self._set_disabled(device_id, disabled=True)

    def enable(self, device_id: str) -> None:
        """Let the device connect again, with the password it had.

        Raises:
            NotFound: No such device.
        """
        self._set_disabled(device_id, disabled=False)

    def show(self, device_id: str) -> RegisteredDevice:
        """Return one device with its newest reading.

        Raises:
            NotFound: No such device.
        """
        device = self._registry.get(device_id)
        if device is None:
            raise NotFound(_no_device(device_id))
        return device

    def list(self) -> Sequence[RegisteredDevice]:
        """Return every device with its newest reading, by id."""
        return self._registry.all()

    def publish(self) -> None:
        """Tell the broker all that the registry knows, as at the start of the system."""
        self._credentials.publish(self._registry.password_hashes)

    def _add(self, device_ids: Sequence[str], name: str) -> Sequence[NewPassword]:
        _require_valid(device_ids)
        passwords = [_new_password(device_id) for device_id in device_ids]
        _require_new(self._registry.add(self._hashes(passwords), name))
        self.publish()
        return passwords

    def _set_disabled(self, device_id: str, *, disabled: bool) -> None:
        if not self._registry.set_disabled(device_id, disabled=disabled):
            raise NotFound(_no_device(device_id))
        self.publish()

    def _hashes(self, passwords: Iterable[NewPassword]) -> dict[str, str]:
        return {new.username: self._credentials.hash_password(new.password) for new in passwords}


def _new_password(device_id: str) -> NewPassword:
    return NewPassword(device_id, secrets.token_urlsafe(_PASSWORD_BYTES))


def _require_valid(device_ids: Sequence[str]) -> None:
    for device_id in device_ids:
        if not is_device_id(device_id):
            msg = f"{device_id!r} is no device id: 1 to 50 of A-Z a-z 0-9 _ -"
            raise PermanentError(msg)
        if device_id.startswith(RESERVED_PREFIX):
            msg = f"{device_id}: ids that begin with {RESERVED_PREFIX} are Plumbline's own"
            raise PermanentError(msg)
    if len(set(device_ids)) < len(device_ids):
        msg = "the same device id twice"
        raise PermanentError(msg)


def _require_new(existing: Sequence[str]) -> None:
    if existing:
        msg = f"registered already: {_some(existing)}"
        raise PermanentError(msg)


def _some(device_ids: Sequence[str]) -> str:
    more = " and more" if len(device_ids) > _LISTED else ""
    return f"{', '.join(device_ids[:_LISTED])}{more}"


def _no_device(device_id: str) -> str:
    return f"no device {device_id}"
