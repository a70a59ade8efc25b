"""Device status and fleet statistics, for the sync."""

from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queries import load
from plumbline.ports import DeviceStatus, FleetStatistics

_SQL = load("statuses.sql")
_CHUNK = 1000


class PostgresStatuses:
    """The database side of the sync; for one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def device_statuses(self) -> Generator[Sequence[DeviceStatus], None, None]:
        """Yield the status of every device, by device id, in chunks, from one snapshot: a cursor's.

        Raises:
            StoreUnavailable: Also between two chunks.
        """
        with (
            self._database.connection() as connection,
            connection.transaction(),
            connection.cursor(name="device_statuses") as cursor,
        ):
            cursor.execute(_SQL["device_statuses"])
            while rows := cursor.fetchmany(_CHUNK):
                yield [
                    DeviceStatus(device_id, status, last_seen.astimezone(UTC), tilt_angle, battery)
                    for device_id, status, last_seen, tilt_angle, battery in rows
                ]

    def fleet_statistics(self, now: datetime) -> FleetStatistics:
        """Return the fleet's statistics at ``now``, from one snapshot.

        Raises:
            StoreUnavailable: The database cannot serve.
        """
        with self._database.connection() as connection:
            (row,) = connection.execute(_SQL["fleet"], fleet_parameters(now)).fetchall()
        return fleet_statistics(row)


def fleet_parameters(now: datetime) -> dict[str, datetime]:
    """Return the parameters of the statement ``fleet``."""
    return {"after": now - timedelta(hours=1), "until": now}


def fleet_statistics(row: tuple[Any, ...]) -> FleetStatistics:
    """Return what the one row of the statement ``fleet`` says."""
    by_status, last_hour, stalest_id, stalest = row
    return FleetStatistics(
        devices=sum(by_status.values()),
        by_status=by_status,
        readings_last_hour=last_hour,
        stalest_device_id=stalest_id,
        stalest_last_seen=None if stalest is None else stalest.astimezone(UTC),
    )
