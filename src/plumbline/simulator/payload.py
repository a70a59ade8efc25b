"""A sample as the devices of different makes write it: JSON of the telemetry topic.

============== ===========================================================================
``plain``      the document's five fields; RFC 3339 in UTC
``full``       all known fields
``milliseconds`` Unix milliseconds, no ``device_id``, no ``status`` while it is normal
``extra``      RFC 3339 with offset and nanoseconds, and fields that Plumbline does not know
============== ===========================================================================
"""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from plumbline.domain.reading import Status
from plumbline.simulator.device import Device

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_HOUR_EAST = timezone(timedelta(hours=1))
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def moment(at_ms: int) -> datetime:
    """Return Unix milliseconds as a time, exactly."""
    return _EPOCH + timedelta(milliseconds=at_ms)


def reading_members(device: Device, at_ms: int, index: int) -> dict[str, Any]:
    """Return the members of the reading's JSON object, in the device's dialect.

    Args:
        device: Who measures.
        at_ms: When, Unix milliseconds.
        index: How many readings the device has made before.
    """
    sample = device.measure(at_ms)
    members: dict[str, Any] = {"device_id": device.device_id}
    if device.dialect == "milliseconds":
        members = {"timestamp": at_ms, "tilt_angle": sample.tilt_angle_deg}
        if sample.status is not Status.NORMAL:
            members["status"] = sample.status.value
        members["battery_level"] = sample.battery_level_pct
        members["tilt_x"] = sample.tilt_x_deg
        members["tilt_y"] = sample.tilt_y_deg
        members["sequence"] = device.first_sequence + index
        return members
    members["timestamp"] = _timestamp(device, at_ms)
    members["tilt_angle"] = sample.tilt_angle_deg
    members["status"] = sample.status.value
    members["battery_level"] = sample.battery_level_pct
    if device.dialect == "full":
        members["tilt_x"] = sample.tilt_x_deg
        members["tilt_y"] = sample.tilt_y_deg
        members["tilt_z"] = sample.tilt_z_deg
        members["temperature"] = sample.temperature_c
        members["rssi"] = sample.rssi_dbm
        members["snr"] = sample.snr_db
        members["sequence"] = device.first_sequence + index
    elif device.dialect == "extra":
        members["temperature"] = sample.temperature_c
        members["firmware"] = "2.4.1"
        members["place"] = "Brücke, Pfeiler \\2"
        members["self_test"] = {"passed": sample.status is not Status.FAULT, "codes": [0, 17]}
    return members


def encode(members: dict[str, Any]) -> bytes:
    """Return the members as compact UTF-8 JSON."""
    return _ENCODER.encode(members).encode()


def _timestamp(device: Device, at_ms: int) -> str:
    at = moment(at_ms)
    if device.dialect == "extra":
        # Digits beyond microseconds are to be cut; rounded, they would give another moment.
        local = at.astimezone(_ONE_HOUR_EAST).isoformat(timespec="microseconds")
        return local.replace("+01:00", "999+01:00")
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
