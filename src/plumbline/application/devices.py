"""The registry of devices, and their passwords at the broker."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from plumbline.domain.device import Protocol
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

    def add(
        self, device_id: str, *, name: str = "", protocol: Protocol = Protocol.MQTT
    ) -> NewPassword | None:
        """Add one device.

        Returns:
            Its password; None for LoRaWAN, where the network server connects for it.
        Raises:
            PermanentError: Not a device id, a reserved one, or one that exists already.
        """
        if protocol is Protocol.MQTT:
            return self._add([device_id], name)[0]
        _require_valid([device_id])
        _require_new(self._registry.add({device_id: None}, name))
        return None

    def add_many(self, device_ids: Sequence[str], *, rotate: bool = False) -> Sequence[NewPassword]:
        """Add MQTT devices, all or none.

        Args:
            device_ids: Without duplicates.
            rotate: Give those that exist a new password, instead of refusing.
        Returns:
            Their passwords, in the order given.
        Raises:
            PermanentError: Not a device id, a reserved one, or one that exists already.
        """
        if not rotate:
            return self._add(device_ids, "")
        _require_valid(device_ids)
        passwords = [_new_password(device_id) for device_id in device_ids]
        self._registry.add_or_rotate(self._hashes(passwords))
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
        more = " and more" if len(existing) > _LISTED else ""
        msg = f"registered already: {', '.join(existing[:_LISTED])}{more}"
        raise PermanentError(msg)


def _no_device(device_id: str) -> str:
    return f"no device {device_id}"
