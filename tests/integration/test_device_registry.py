"""What only the registry on PostgreSQL has: newest readings, and a server that can go."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.devices import PostgresDeviceRegistry
from plumbline.errors import StoreUnavailable
from plumbline.ports import DeviceStatus

_LORAWAN = {
    "dev_eui": "1000000000000001",
    "network_server": "chirpstack",
    "application": "app",
    "sensor_model": "milesight-em310-tilt",
}


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


@pytest.mark.parametrize(
    "columns",
    [
        {"protocol": "lorawan"},
        {"protocol": "lorawan", **_LORAWAN, "dev_eui": None},
        {"protocol": "lorawan", **_LORAWAN, "sensor_model": None},
        {"protocol": "lorawan", **_LORAWAN, "dev_eui": "1000000000000A01"},
        {"protocol": "lorawan", **_LORAWAN, "network_server": "loriot"},
        {"protocol": "lorawan", **_LORAWAN, "device_class": "B"},
        {"protocol": "lorawan", **_LORAWAN, "uplink_interval_s": "0"},
        {"protocol": "lorawan", **_LORAWAN, "password_hash": "hash"},
        {"protocol": "mqtt", "dev_eui": "1000000000000001"},
        {"protocol": "mqtt", "uplink_interval_s": "60"},
    ],
)
def test_the_database_keeps_no_half_a_lorawan_device(
    database_url: str, columns: dict[str, str | None]
) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    values = sql.SQL(", ").join(map(sql.Literal, columns.values()))
    statement = sql.SQL("INSERT INTO devices (device_id, {}) VALUES ('d1', {})")
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute(statement.format(names, values))
