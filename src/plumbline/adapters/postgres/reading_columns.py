"""Readings as arrays, one a column, for set-based statements."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from plumbline.domain.delivery import DeliveredReading
from plumbline.domain.reading import Reading

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def in_lock_order(delivered: Iterable[DeliveredReading]) -> list[DeliveredReading]:
    """Sort by device, then device time, then delivery: of one moment, the first received first."""
    return sorted(
        delivered, key=lambda d: (d.reading.device_id, d.reading.observed_at, d.delivery_id)
    )


def reading_columns(delivered: Sequence[DeliveredReading]) -> dict[str, list[Any]]:
    """Return every column of ``sensor_data`` that a writer gives, by name.

    A column in which no row has a value is an empty list, which ``unnest`` fills with NULL: most
    devices send few of the optional fields, and what is not sent need not be encoded.
    """
    readings = [d.reading for d in delivered]
    return {
        "device_id": [r.device_id for r in readings],
        "timestamp": [r.observed_at for r in readings],
        "tilt_angle": [r.tilt_angle_deg for r in readings],
        "status": [r.status.value for r in readings],
        "battery_level": _sparse([r.battery_level_pct for r in readings]),
        "tilt_x": _sparse([r.tilt_x_deg for r in readings]),
        "tilt_y": _sparse([r.tilt_y_deg for r in readings]),
        "tilt_z": _sparse([r.tilt_z_deg for r in readings]),
        "temperature": _sparse([r.temperature_c for r in readings]),
        "rssi": _sparse([r.rssi_dbm for r in readings]),
        "snr": _sparse([r.snr_db for r in readings]),
        "sequence": _sparse([r.sequence for r in readings]),
        "extra": _sparse([_ENCODER.encode(r.extra) if r.extra else None for r in readings]),
        "received_at": [d.received_at for d in delivered],
        "delivery_id": [d.delivery_id for d in delivered],
    }


def status_columns(readings: Iterable[Reading]) -> dict[str, list[Any]]:
    """Return the columns of ``device_status`` for the newest reading of each device."""
    newest: dict[str, Reading] = {}
    for reading in readings:
        known = newest.get(reading.device_id)
        if known is None or known.observed_at < reading.observed_at:
            newest[reading.device_id] = reading
    rows = [newest[device_id] for device_id in sorted(newest)]
    return {
        "device_id": [r.device_id for r in rows],
        "timestamp": [r.observed_at for r in rows],
        "status": [r.status.value for r in rows],
        "tilt_angle": [r.tilt_angle_deg for r in rows],
        "battery_level": _sparse([r.battery_level_pct for r in rows]),
    }


def _sparse(values: list[Any]) -> list[Any]:
    return [] if values.count(None) == len(values) else values
