"""What only the registry on PostgreSQL has: newest readings, and a server that can go."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.devices import PostgresDeviceRegistry
from plumbline.errors import StoreUnavailable
from plumbline.ports import DeviceStatus


@pytest.fixture
def registry(database_url: str) -> Iterator[PostgresDeviceRegistry]:
    """Yield an empty registry."""
    database = Database(database_url, StoreUnavailable)
    yield PostgresDeviceRegistry(database)
    database.close()


def test_devices_come_with_their_newest_reading(
    registry: PostgresDeviceRegistry, database_url: str
) -> None:
    registry.add({"b": "hash", "a": "hash"}, "")
    seen = datetime(2026, 1, 18, 10, 30, tzinfo=UTC)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO device_status (device_id, last_seen, current_status, tilt_angle,"
            " battery_level) VALUES ('b', %s, 'alarm', 1.25, 88)",
            [seen],
        )
    first, second = registry.all()
    assert (first.device.device_id, first.status) == ("a", None)
    assert second.status == DeviceStatus("b", "alarm", seen, 1.25, 88)


def test_a_database_that_is_gone_is_a_transient_error(
    registry: PostgresDeviceRegistry, database_url: str
) -> None:
    registry.add({"d1": "hash"}, "")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreUnavailable):
        registry.all()
    assert [one.device.device_id for one in registry.all()] == ["d1"]
