"""The registry of devices on PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import UTC
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queries import load
from plumbline.domain.device import Device, DeviceClass, Lorawan, NetworkServer, Protocol
from plumbline.ports import DeviceStatus, RegisteredDevice

_LORAWAN_FIELDS = tuple(field.name for field in fields(Lorawan))


class PostgresDeviceRegistry:
    """See ``ports.DeviceRegistry``; for one thread.

    Args:
        database: Its connection; failures become StoreUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load("devices.sql")

    def add(self, devices: Mapping[str, str], name: str) -> list[str]:
        """Add MQTT devices by id with their password hash, all or none.

        Returns:
            The ids that exist already; then nothing was added.
        """
        return self._all_or_none("add", devices, {**_arrays(devices), "name": name})

    def add_or_rotate(self, devices: Mapping[str, str]) -> list[str]:
        """Add MQTT devices by id with their password hash; those that exist get the new hash.

        Returns:
            The ids that are LoRaWAN devices; then nothing was changed.
        """
        return self._all_or_none("add_or_rotate", devices, _arrays(devices))

    def add_lorawan(
        self, devices: Mapping[str, Lorawan], name: str, *, replace: bool = False
    ) -> list[tuple[str, str | None]]:
        """Add LoRaWAN devices by id, all or none.

        Returns:
            Devices that have an id or a DevEUI already that was to be added, as (id, DevEUI);
            then nothing was changed.
        """
        parameters = {
            "ids": list(devices),
            "name": name,
            "replace": replace,
            **{field: [getattr(d, field) for d in devices.values()] for field in _LORAWAN_FIELDS},
        }
        try:
            if not self._all_or_none("add_lorawan", devices, parameters):
                return []
        except psycopg.errors.UniqueViolation:
            pass  # a DevEUI; which of them, the next query says
        with self._database.connection() as connection:
            found = connection.execute(self._sql["in_the_way"], parameters).fetchall()
        # None, where two devices of one call change their DevEUIs with each other.
        return found or [(device_id, d.dev_eui) for device_id, d in devices.items()]

    def rotate(self, device_id: str, password_hash: str) -> bool:
        """Replace the hash; False where there is no such device with a password."""
        return self._update("rotate", {"id": device_id, "hash": password_hash})

    def set_disabled(self, device_id: str, *, disabled: bool) -> bool:
        """Disable or enable; False where there is no such device."""
        return self._update("set_disabled", {"id": device_id, "disabled": disabled})

    def get(self, device_id: str) -> RegisteredDevice | None:
        """Return one device, or None."""
        return next(iter(self._select(device_id)), None)

    def all(self) -> list[RegisteredDevice]:
        """Return every device, by id."""
        return self._select(None)

    def password_hashes(self) -> Mapping[str, str]:
        """Return the hashes of the devices that may connect, by id."""
        with self._database.connection() as connection:
            return dict(connection.execute(self._sql["password_hashes"]).fetchall())

    def _all_or_none(
        self, statement: str, devices: Collection[str], parameters: Mapping[str, Any]
    ) -> list[str]:
        """Execute; undo it and return the ids that the statement left out, if there are any."""
        with self._database.connection() as connection, connection.transaction():
            done = {row[0] for row in connection.execute(self._sql[statement], parameters)}
            left_out = sorted(set(devices) - done)
            if left_out:
                raise psycopg.Rollback
        return left_out

    def _update(self, statement: str, parameters: Mapping[str, Any]) -> bool:
        with self._database.connection() as connection:
            return connection.execute(self._sql[statement], parameters).rowcount > 0

    def _select(self, device_id: str | None) -> list[RegisteredDevice]:
        with self._database.connection() as connection:
            rows = connection.execute(self._sql["select_devices"], {"id": device_id}).fetchall()
        return [_registered(row) for row in rows]


def _arrays(devices: Mapping[str, str]) -> dict[str, list[Any]]:
    return {"ids": list(devices), "hashes": list(devices.values())}


def lorawan_of(values: Sequence[Any]) -> Lorawan:
    """Return what the columns of a LoRaWAN device say, in the order of Lorawan's fields."""
    members = dict(zip(_LORAWAN_FIELDS, values, strict=True))
    members["network_server"] = NetworkServer(members["network_server"])
    members["device_class"] = DeviceClass(members["device_class"])
    return Lorawan(**members)


def _registered(row: TupleRow) -> RegisteredDevice:
    device_id, name, protocol, created_at, rotated_at, disabled_at, *rest = row
    lorawan, newest = rest[: len(_LORAWAN_FIELDS)], rest[len(_LORAWAN_FIELDS) :]
    device = Device(
        device_id=device_id,
        name=name,
        protocol=Protocol(protocol),
        created_at=created_at.astimezone(UTC),
        rotated_at=rotated_at and rotated_at.astimezone(UTC),
        disabled_at=disabled_at and disabled_at.astimezone(UTC),
        lorawan=None if protocol != Protocol.LORAWAN else lorawan_of(lorawan),
    )
    current_status, last_seen, tilt_angle_deg, battery_level_pct = newest
    if last_seen is None:
        return RegisteredDevice(device, None)
    status = DeviceStatus(
        device_id, current_status, last_seen.astimezone(UTC), tilt_angle_deg, battery_level_pct
    )
    return RegisteredDevice(device, status)
