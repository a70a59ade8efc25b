"""Readings as arrays, one a column, for set-based statements."""

import json
from collections.abc import Iterable, Sequence

from plumbline.adapters.postgres.binary_arrays import (
    Array,
    BigIntegers,
    Doubles,
    Integers,
    Moments,
    Texts,
    Uuids,
)
from plumbline.domain.delivery import DeliveredReading
from plumbline.domain.reading import Reading

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def in_lock_order(delivered: Iterable[DeliveredReading]) -> list[DeliveredReading]:
    """Sort by device, then device time, then delivery: of one moment, the first received first."""
    return sorted(
        delivered, key=lambda d: (d.reading.device_id, d.reading.observed_at, d.delivery_id)
    )


def reading_columns(delivered: Sequence[DeliveredReading]) -> dict[str, Array]:
    """Return every column of ``sensor_data`` that a writer gives, by name."""
    readings = [d.reading for d in delivered]
    return {
        "device_id": Texts([r.device_id for r in readings]),
        "timestamp": Moments([r.observed_at for r in readings]),
        "tilt_angle": Doubles([r.tilt_angle_deg for r in readings]),
        "status": Texts([r.status for r in readings]),
        "battery_level": Integers([r.battery_level_pct for r in readings]),
        "tilt_x": Doubles([r.tilt_x_deg for r in readings]),
        "tilt_y": Doubles([r.tilt_y_deg for r in readings]),
        "tilt_z": Doubles([r.tilt_z_deg for r in readings]),
        "temperature": Doubles([r.temperature_c for r in readings]),
        "rssi": Doubles([r.rssi_dbm for r in readings]),
        "snr": Doubles([r.snr_db for r in readings]),
        "sequence": BigIntegers([r.sequence for r in readings]),
        "extra": Texts([_ENCODER.encode(r.extra) if r.extra else None for r in readings]),
        "received_at": Moments([d.received_at for d in delivered]),
        "delivery_id": Uuids([d.delivery_id for d in delivered]),
        "frame": Uuids([d.frame for d in delivered]),
    }


def status_columns(in_order: Iterable[Reading]) -> dict[str, Array]:
    """Return the columns of ``device_status`` for the newest reading of each device.

    Args:
        in_order: In lock order, so that a device's last one is its newest.
    """
    rows = {reading.device_id: reading for reading in in_order}.values()
    return {
        "device_id": Texts([r.device_id for r in rows]),
        "timestamp": Moments([r.observed_at for r in rows]),
        "status": Texts([r.status for r in rows]),
        "tilt_angle": Doubles([r.tilt_angle_deg for r in rows]),
        "battery_level": Integers([r.battery_level_pct for r in rows]),
    }
