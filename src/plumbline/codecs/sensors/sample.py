"""What one frame of a sensor says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plumbline.codecs.strict_json import is_storable_text
from plumbline.domain.reading import Status, is_angle_deg
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

_FULL_PCT = 100
_INT64 = 2**63
_ANGLES = ("tilt_x_deg", "tilt_y_deg", "tilt_z_deg", "roll_deg", "pitch_deg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One frame, decoded.

    Attributes:
        model: The codec's model.
        fields: All that the frame says: JSON values by name, the name ends with the unit. A
            codec names what it shares with others as they do: ``tilt_x_deg``, ``tilt_y_deg``,
            ``tilt_z_deg``, ``roll_deg``, ``pitch_deg``, ``temperature_c``, ``battery_pct``,
            ``battery_v``.
        tilt_angle_deg: The one angle that becomes the reading's ``tilt_angle``, or None.
        no_tilt: Why there is no angle, for people.
        status: The device's own judgement.
        observed_at: When the device measured, aware UTC, where the frame itself says so.
        records: Earlier measurements that the frame carries, each with its ``observed_at``.

    Raises:
        InvalidPayload: A number is not finite, an angle beyond 180 degrees, a battery beyond
            100 per cent, a text or an integer that the database cannot hold, or a value that JSON
            does not have.
    """

    model: str
    fields: Mapping[str, Any]
    tilt_angle_deg: float | None = None
    no_tilt: str = ""
    status: Status = Status.NORMAL
    observed_at: datetime | None = None
    records: tuple["Sample", ...] = ()

    def __post_init__(self) -> None:
        _require_json(self.fields, "fields")
        _require_json(self.no_tilt, "no_tilt")
        for name in _ANGLES:
            _require_angle(name, self.fields.get(name))
        _require_angle("tilt_angle_deg", self.tilt_angle_deg)
        if not _is_number_or_none(self.fields.get("temperature_c")):
            raise InvalidPayload(Reason.INVALID_FRAME, "temperature_c is no number")
        battery = self.battery_level_pct
        if battery is not None and (type(battery) is not int or not 0 <= battery <= _FULL_PCT):
            raise InvalidPayload(Reason.INVALID_BATTERY_LEVEL, f"{battery} per cent")

    @property
    def tilt_x_deg(self) -> float | None:
        """Angle about or of the x axis (roll), degrees."""
        return self._first_of("tilt_x_deg", "roll_deg")

    @property
    def tilt_y_deg(self) -> float | None:
        """Angle about or of the y axis (pitch), degrees."""
        return self._first_of("tilt_y_deg", "pitch_deg")

    @property
    def tilt_z_deg(self) -> float | None:
        """Angle of the z axis, degrees."""
        return self._first_of("tilt_z_deg")

    @property
    def temperature_c(self) -> float | None:
        """Degrees Celsius."""
        return self._first_of("temperature_c")

    @property
    def battery_level_pct(self) -> int | None:
        """Per cent; None where the device says a voltage or nothing."""
        battery: int | None = self.fields.get("battery_pct")
        return battery

    def _first_of(self, *names: str) -> float | None:
        value = next((self.fields[name] for name in names if name in self.fields), None)
        return None if value is None else float(value)


def _is_number_or_none(value: object) -> bool:
    return value is None or type(value) in (int, float)


def _require_angle(name: str, value: object) -> None:
    if not _is_number_or_none(value) or (
        isinstance(value, int | float) and not is_angle_deg(value)
    ):
        raise InvalidPayload(Reason.INVALID_TILT_ANGLE, f"{name}: {value}")


def _require_json(value: object, name: str) -> None:
    match value:
        case Mapping():
            for key, member in value.items():
                _require_json(str(key), "a field's name")
                _require_json(member, str(key))
        case list() | tuple():
            for member in value:
                _require_json(member, name)
        case _:
            _require_plain(value, name)


def _require_plain(value: object, name: str) -> None:
    match value:
        case None:
            return
        case int():
            if not -_INT64 <= value < _INT64:
                raise InvalidPayload(Reason.CODEC_FAILED, f"{name} has more than 64 bits")
        case float():
            if not math.isfinite(value):
                raise InvalidPayload(Reason.INVALID_FRAME, f"{name} is not finite")
        case str():
            if not is_storable_text(value):
                raise InvalidPayload(Reason.INVALID_TEXT, repr(name))
        case _:
            kind = type(value).__name__
            raise InvalidPayload(Reason.CODEC_FAILED, f"{name} is no JSON value: {kind}")
