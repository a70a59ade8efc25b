"""One reading of one device."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

MAX_AGE = timedelta(days=90)
"""How long readings are kept; an older one is refused."""

MAX_AHEAD = timedelta(minutes=5)
"""How far a device's clock may be ahead of ours."""

_HALF_TURN_DEG = 180.0

DEVICE_ID = re.compile(r"[A-Za-z0-9_-]{1,50}", re.ASCII)


class Status(StrEnum):
    """What the device says of itself."""

    NORMAL = "normal"
    WARNING = "warning"
    ALARM = "alarm"
    FAULT = "fault"


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Reading(NamedTuple):
    """What one device measured at one moment.

    A tuple, because the pipeline makes each reading twice, and a frozen dataclass of so many fields
    takes five times as long to make.

    Attributes:
        device_id: 1 to 50 of ``A-Z a-z 0-9 _ -``.
        observed_at: The device's time, aware UTC, whole microseconds.
        tilt_angle_deg: Degrees, -180 to 180.
        status: The device's own judgement.
        battery_level_pct: 0 to 100, or None.
        tilt_x_deg, tilt_y_deg, tilt_z_deg: Degrees, or None.
        temperature_c: Degrees Celsius, or None.
        rssi_dbm: Received signal strength, dBm, or None.
        snr_db: Signal to noise ratio, dB, or None.
        sequence: The device's own counter, or None.
        extra: Fields that Plumbline does not know, kept as they came (JSON values).
    """

    device_id: str
    observed_at: datetime
    tilt_angle_deg: float
    status: Status = Status.NORMAL
    battery_level_pct: int | None = None
    tilt_x_deg: float | None = None
    tilt_y_deg: float | None = None
    tilt_z_deg: float | None = None
    temperature_c: float | None = None
    rssi_dbm: float | None = None
    snr_db: float | None = None
    sequence: int | None = None
    extra: Mapping[str, Any] = _NOTHING


def is_device_id(text: str) -> bool:
    """Tell whether the text is a device id."""
    return DEVICE_ID.fullmatch(text) is not None


def is_angle_deg(value: float) -> bool:
    """Tell whether the value is a finite angle between -180 and 180 degrees."""
    return -_HALF_TURN_DEG <= value <= _HALF_TURN_DEG  # false for NaN


def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC with ``Z``; microseconds only where there are some.

    Raises:
        ValueError: The moment has no zone.
    """
    if moment.tzinfo is None:
        msg = "a time without a zone"
        raise ValueError(msg)
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat()[:-6]}Z"  # without +00:00
