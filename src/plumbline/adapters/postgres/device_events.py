"""What devices said that is no reading, for people."""

from collections.abc import Sequence
from datetime import UTC

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queries import load
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Status

_SQL = load("frames.sql")


class PostgresDeviceEvents:
    """Reads events; for one thread.

    Args:
        database: Its connection; failures become StoreUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, device_id: str, limit: int) -> Sequence[DeviceEvent]:
        """Return the device's events, newest first."""
        with self._database.connection() as connection:
            rows = connection.execute(
                _SQL["events_of_device"], {"device_id": device_id, "limit": limit}
            ).fetchall()
        return [
            DeviceEvent(device_id, observed_at.astimezone(UTC), detail, Status(status), *rest)
            for device_id, observed_at, detail, status, *rest in rows
        ]
