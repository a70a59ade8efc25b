"""Fills a broker quickly: raw MQTT 3.1.1 over sockets, QoS 1, every acknowledgement counted."""

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from plumbline.domain.reading import format_time

_PACKETS_AT_ONCE = 500


def publish_backlog(
    host: str, port: int, credentials: Mapping[str, str], readings: int, *, status: str = "normal"
) -> None:
    """Publish ``readings`` readings, spread evenly over the devices, each acknowledged.

    Args:
        host: Of the plain listener.
        port: Of the plain listener.
        credentials: Password by device id.
        readings: In all; times one millisecond apart, ending now.
        status: Of every reading.

    Raises:
        ConnectionError: The broker refused a device or closed the connection.
    """
    devices = list(credentials)
    started = datetime.now(UTC) - timedelta(milliseconds=readings)
    for number, device in enumerate(devices):
        mine = range(number, readings, len(devices))
        with socket.create_connection((host, port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connect(connection, device, credentials[device])
            topic = f"tilt/{device}/telemetry".encode()
            for begin in range(0, len(mine), _PACKETS_AT_ONCE):
                part = mine[begin : begin + _PACKETS_AT_ONCE]
                packets = b"".join(
                    publish_packet(topic, identifier + 1, _payload(device, started, index, status))
                    for identifier, index in enumerate(part)
                )
                connection.sendall(packets)
                read_exactly(connection, 4 * len(part))


def payloads(devices: Sequence[str], readings: int) -> list[bytes]:
    """Return the payloads that `publish_backlog` would publish."""
    started = datetime.now(UTC) - timedelta(milliseconds=readings)
    return [
        _payload(devices[index % len(devices)], started, index, "normal")
        for index in range(readings)
    ]


def _payload(device: str, started: datetime, index: int, status: str) -> bytes:
    return json.dumps(
        {
            "device_id": device,
            "timestamp": format_time(started + timedelta(milliseconds=index)),
            "tilt_angle": round(1 + index % 1000 / 1000, 4),
            "status": status,
            "battery_level": 88,
            "temperature": 21.5,
            "sequence": index,
        }
    ).encode()


def connect(connection: socket.socket, user: str, password: str) -> None:
    """Sign in on a connected socket, with a clean session.

    Raises:
        ConnectionError: The broker refused it, or closed the connection.
    """
    body = b"\0\4MQTT\4\xc2\0\x3c" + _text(user) + _text(user) + _text(password)
    connection.sendall(b"\x10" + _length(len(body)) + body)
    answer = read_exactly(connection, 4)
    if answer[3] != 0:
        msg = f"the broker refused {user}: code {answer[3]}"
        raise ConnectionError(msg)


def publish_packet(topic: bytes, identifier: int, payload: bytes) -> bytes:
    """Return a PUBLISH with QoS 1."""
    body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", identifier) + payload
    return b"\x32" + _length(len(body)) + body


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("!H", len(raw)) + raw


def _length(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, digit = value >> 7, value & 0x7F
        if not value:
            encoded.append(digit)
            return bytes(encoded)
        encoded.append(digit | 0x80)


def read_exactly(connection: socket.socket, count: int) -> bytes:
    """Return so many bytes.

    Raises:
        ConnectionError: The broker closed the connection before.
    """
    data = bytearray()
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            msg = "the broker closed the connection"
            raise ConnectionError(msg)
        data += chunk
    return bytes(data)
