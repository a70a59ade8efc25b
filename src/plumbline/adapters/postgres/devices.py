"""The registry of devices on PostgreSQL."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queries import load
from plumbline.domain.device import Device, Protocol
from plumbline.ports import DeviceStatus, RegisteredDevice


class PostgresDeviceRegistry:
    """See ``ports.DeviceRegistry``; for one thread.

    Args:
        database: Its connection; failures become StoreUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load("devices.sql")

    def add(self, devices: Mapping[str, str | None], name: str) -> list[str]:
        """Add devices by id with their password hash (None: LoRaWAN), all or none.

        Returns:
            The ids that exist already; then nothing was added.
        """
        parameters = {**_arrays(devices), "name": name}
        with self._database.connection() as connection, connection.transaction():
            added = {row[0] for row in connection.execute(self._sql["add"], parameters)}
            existing = sorted(devices.keys() - added)
            if existing:
                raise psycopg.Rollback
        return existing

    def add_or_rotate(self, devices: Mapping[str, str]) -> None:
        """Add devices by id with their password hash; those that exist get the new hash."""
        with self._database.connection() as connection:
            connection.execute(self._sql["add_or_rotate"], _arrays(devices))

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

    def _update(self, statement: str, parameters: Mapping[str, Any]) -> bool:
        with self._database.connection() as connection:
            return connection.execute(self._sql[statement], parameters).rowcount > 0

    def _select(self, device_id: str | None) -> list[RegisteredDevice]:
        with self._database.connection() as connection:
            rows = connection.execute(self._sql["select_devices"], {"id": device_id}).fetchall()
        return [_registered(row) for row in rows]


def _arrays(devices: Mapping[str, str | None]) -> dict[str, list[Any]]:
    return {"ids": list(devices), "hashes": list(devices.values())}


def _registered(row: TupleRow) -> RegisteredDevice:
    device_id, name, protocol, created_at, rotated_at, disabled_at, *newest = row
    device = Device(
        device_id=device_id,
        name=name,
        protocol=Protocol(protocol),
        created_at=created_at.astimezone(UTC),
        rotated_at=rotated_at and rotated_at.astimezone(UTC),
        disabled_at=disabled_at and disabled_at.astimezone(UTC),
    )
    current_status, last_seen, tilt_angle_deg, battery_level_pct = newest
    if last_seen is None:
        return RegisteredDevice(device, None)
    status = DeviceStatus(
        device_id, current_status, last_seen.astimezone(UTC), tilt_angle_deg, battery_level_pct
    )
    return RegisteredDevice(device, status)
