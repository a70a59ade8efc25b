"""Device status and fleet statistics, for the sync."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queries import load
from plumbline.ports import DeviceStatus, FleetStatistics

_SQL = load("statuses.sql")
_CHUNK = 1000


class PostgresStatuses:
    """The database side of the sync; for one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def device_statuses(self) -> Iterator[Sequence[DeviceStatus]]:
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
        hour = {"after": now - timedelta(hours=1), "until": now}
        with self._database.connection() as connection, connection.transaction():
            connection.execute(_SQL["begin_snapshot"])
            by_status = dict(connection.execute(_SQL["count_by_status"]).fetchall())
            stalest = connection.execute(_SQL["stalest_device"]).fetchone()
            last_hour = connection.execute(_SQL["readings_last_hour"], hour).fetchone()
        return FleetStatistics(
            devices=sum(by_status.values()),
            by_status=by_status,
            readings_last_hour=0 if last_hour is None else last_hour[0],
            stalest_device_id=None if stalest is None else stalest[0],
            stalest_last_seen=None if stalest is None else stalest[1].astimezone(UTC),
        )
