"""What the reading path is measured against, on the same broker and the same PostgreSQL.

Each takes a backlog from the ingest session into a table with the document's columns and its
unique constraint. None has queues, checks, quarantine, status, or an account; the raw ones have no
database or no broker.
"""

import json
import socket
import struct
import time
from collections.abc import Callable
from datetime import datetime
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

_TABLE = """
DROP TABLE IF EXISTS reference_data;
CREATE TABLE reference_data (
    id bigserial PRIMARY KEY, device_id varchar(50) NOT NULL, timestamp timestamptz NOT NULL,
    tilt_angle double precision, status varchar(20), battery_level integer,
    created_at timestamptz DEFAULT now(), UNIQUE (device_id, timestamp));
CREATE INDEX ON reference_data (device_id, timestamp DESC);
CREATE INDEX ON reference_data (status);
"""
_INSERT_ONE = """
INSERT INTO reference_data (device_id, timestamp, tilt_angle, status, battery_level)
VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_INSERT_MANY = """
INSERT INTO reference_data (device_id, timestamp, tilt_angle, status, battery_level)
SELECT * FROM unnest(%b::varchar[], %b::timestamptz[], %b::float8[], %b::varchar[], %b::int4[])
ON CONFLICT DO NOTHING
"""

Row = tuple[str, datetime, float, str, int]


def prepare(database_url: str) -> None:
    """Make the reference table anew."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_TABLE)


def row_of(payload: bytes) -> Row:
    """Decode a reading without checking anything."""
    members = json.loads(payload)
    return (
        members["device_id"],
        datetime.fromisoformat(members["timestamp"]),
        members["tilt_angle"],
        members["status"],
        members["battery_level"],
    )


def obvious_script(broker_url: str, database_url: str, readings: int) -> float:
    """Return seconds of the script that everyone writes first: one INSERT and commit a message."""
    left = readings
    with psycopg.connect(database_url, autocommit=True) as connection:

        def store(client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
            nonlocal left
            del client, userdata
            connection.execute(_INSERT_ONE, row_of(bytes(message.payload)))
            left -= 1

        client = connect(broker_url, manual_ack=False)
        client.on_message = store
        started = time.perf_counter()
        while left > 0:
            client.loop(1.0)
        seconds = time.perf_counter() - started
        disconnect(client)
        return seconds


def good_script(broker_url: str, database_url: str, readings: int, batch: int = 1000) -> float:
    """Return seconds with batches, unnest, and acknowledgement by hand after the commit."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        client = connect(broker_url, manual_ack=True)
        waiting: list[mqtt.MQTTMessage] = []
        client.on_message = lambda _client, _userdata, message: waiting.append(message)
        left = readings
        started = time.perf_counter()
        while left > 0:
            while len(waiting) < min(batch, left):
                client.loop(1.0)
            _insert(connection, [row_of(bytes(message.payload)) for message in waiting])
            for message in waiting:
                client.ack(message.mid, message.qos)
            left -= len(waiting)
            waiting.clear()
        while client.want_write():
            client.loop_write()
        seconds = time.perf_counter() - started
        disconnect(client)
        return seconds


def bare_pipe(broker_url: str, database_url: str, readings: int, batch: int = 5000) -> float:
    """Return seconds with an own minimal MQTT reader, acknowledging after the commit."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        return _raw(
            broker_url,
            readings,
            batch,
            lambda payloads: _insert(connection, [row_of(payload) for payload in payloads]),
        )


def raw_drain(broker_url: str, readings: int, batch: int = 5000) -> float:
    """Return seconds of the minimal reader alone."""
    return _raw(broker_url, readings, batch, lambda _payloads: None)


def copy_rows(database_url: str, rows: list[Row]) -> float:
    """Return seconds of COPY of the rows, without conflict handling."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        started = time.perf_counter()
        with (
            connection.cursor() as cursor,
            cursor.copy(
                "COPY reference_data (device_id, timestamp, tilt_angle, status, battery_level)"
                " FROM STDIN (FORMAT BINARY)"
            ) as copy,
        ):
            copy.set_types(["varchar", "timestamptz", "float8", "varchar", "int4"])
            for row in rows:
                copy.write_row(row)
        return time.perf_counter() - started


def _insert(connection: psycopg.Connection, rows: list[Row]) -> None:
    connection.execute(_INSERT_MANY, [list(column) for column in zip(*rows, strict=True)])


def connect(broker_url: str, *, manual_ack: bool) -> mqtt.Client:
    """Connect with the ingest session."""
    parts = urlsplit(broker_url)
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=unquote(parts.username or ""),
        clean_session=False,
        manual_ack=manual_ack,
    )
    client.username_pw_set(unquote(parts.username or ""), unquote(parts.password or ""))
    client.connect(parts.hostname or "", parts.port or 1883)
    return client


def disconnect(client: mqtt.Client) -> None:
    """Disconnect, and read until the broker has closed the connection."""
    client.disconnect()
    while client.loop(0.1) == mqtt.MQTT_ERR_SUCCESS:
        pass


def _raw(broker_url: str, readings: int, batch: int, store: Callable[[list[bytes]], None]) -> float:
    """Drain with a reader that knows just PUBLISH at QoS 1, and acknowledges after ``store``."""
    parts = urlsplit(broker_url)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    body = b"\0\4MQTT\4\xc0\0\0"
    for text in (user, user, password):
        body += struct.pack("!H", len(text)) + text.encode()
    with socket.create_connection((parts.hostname or "", parts.port or 1883)) as connection:
        connection.sendall(bytes([0x10, len(body)]) + body)
        buffer = bytearray()
        while len(buffer) < 4:
            buffer += connection.recv(4 - len(buffer))
        buffer.clear()
        payloads: list[bytes] = []
        acknowledgements = bytearray()
        left = readings
        started = time.perf_counter()
        while left > 0:
            buffer += connection.recv(1 << 18)
            position = 0
            while (frame := _frame(buffer, position)) is not None:
                topic, end = frame
                length = struct.unpack_from("!H", buffer, topic)[0]
                identifier = topic + 2 + length
                payloads.append(bytes(buffer[identifier + 2 : end]))
                acknowledgements += b"\x40\x02" + buffer[identifier : identifier + 2]
                position = end
                if len(payloads) == min(batch, left):
                    store(payloads)
                    connection.sendall(acknowledgements)
                    left -= len(payloads)
                    payloads.clear()
                    acknowledgements.clear()
            del buffer[:position]
        seconds = time.perf_counter() - started
        connection.sendall(b"\xe0\0")
        return seconds


def _frame(buffer: bytearray, position: int) -> tuple[int, int] | None:
    """Return where the packet's variable header begins and where it ends, or None."""
    length = shift = 0
    index = position + 1
    while True:
        if index >= len(buffer):
            return None
        digit = buffer[index]
        index += 1
        length |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            break
    return (index, index + length) if index + length <= len(buffer) else None
