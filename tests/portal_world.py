"""A small fleet in a database, for tests of the portal."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue import PostgresQueue, declare_queues
from plumbline.errors import QueueUnavailable
from plumbline.topology import TOPOLOGY

BASE = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
"""Where the readings of tests begin."""


def reading_times(first: datetime, count: int, every_s: float) -> list[datetime]:
    """Return times at equal distances."""
    return [first + timedelta(seconds=every_s * index) for index in range(count)]


def angle_deg(index: int) -> float:
    """Return the angle of a device's reading of that index."""
    return round(10 * math.sin(index / 7), 4)


def add_readings(database_url: str, device_id: str, times: Iterable[datetime]) -> None:
    """Store readings with ``angle_deg`` and bring the device's status up to the last."""
    rows = [(device_id, moment, angle_deg(index)) for index, moment in enumerate(times)]
    with psycopg.connect(database_url, autocommit=True) as connection:
        for day in sorted({moment.date() for _, moment, _ in rows}):
            connection.execute("SELECT ensure_sensor_data_partition(%s)", (day,))
        with connection.cursor() as cursor:
            cursor.executemany(
                'INSERT INTO sensor_data (device_id, "timestamp", tilt_angle, status,'
                " battery_level, sequence, received_at, delivery_id)"
                " VALUES (%s, %s, %s, 'normal', 80, 7, %s, %s)",
                [(device, moment, angle, moment, uuid4()) for device, moment, angle in rows],
            )
        connection.execute(
            "INSERT INTO device_status (device_id, last_seen, current_status, tilt_angle,"
            " battery_level) VALUES (%s, %s, 'normal', %s, 80)"
            " ON CONFLICT (device_id) DO UPDATE SET last_seen = excluded.last_seen,"
            " tilt_angle = excluded.tilt_angle",
            rows[-1],
        )


def add_device(database_url: str, device_id: str, protocol: str = "mqtt", name: str = "") -> None:
    """Register a device."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO devices (device_id, protocol, name) VALUES (%s, %s, %s)"
            if protocol == "mqtt"
            else "INSERT INTO devices (device_id, protocol, name, dev_eui, network_server,"
            " application, sensor_model) VALUES (%s, %s, %s, '1000000000000001', 'chirpstack',"
            " 'app', 'milesight-em310-tilt')",
            (device_id, protocol, name),
        )


def add_refusal(database_url: str, device_id: str, reason: str = "invalid_json") -> None:
    """Put a message into quarantine."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO quarantine (delivery_id, device_id, topic, reason, detail, parts,"
            " received_at) VALUES (%s, %s, 'tilt/x/telemetry', %s, 'detail', 1, now())",
            (uuid4(), device_id, reason),
        )


def add_fleet(database_url: str) -> None:
    """Store three devices, readings of two of them, a refusal, and the queues."""
    database = Database(database_url, QueueUnavailable)
    declare_queues(database, TOPOLOGY.queues)
    database.close()
    add_device(database_url, "tower", name="North tower")
    add_device(database_url, "bridge", "lorawan")
    add_readings(database_url, "tower", reading_times(BASE, 200, 60))
    add_readings(database_url, "-wall", reading_times(BASE, 50, 300))
    add_refusal(database_url, "tower")
    add_refusal(database_url, "", "unknown_topic")


@contextmanager
def open_queue(database_url: str, name: str) -> Iterator[PostgresQueue]:
    """Yield a FIFO queue."""
    database = Database(database_url, QueueUnavailable)
    try:
        yield PostgresQueue(database, name, fifo=True)
    finally:
        database.close()
