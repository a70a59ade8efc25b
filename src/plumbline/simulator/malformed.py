"""Messages that must be refused, each with the reason that is right for it.

Each differs from a good reading in one thing only, so that exactly one reason is right.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from plumbline.domain.reason import Reason

_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
_LIMIT_BYTES = 8192
_FULL_WIDTH = str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10)))


class Refused(NamedTuple):
    """What a published message must be refused for.

    Attributes:
        name: Of its kind, for the truth file.
        reason: The code it must be quarantined with.
    """

    name: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Malformed:
    """One kind of bad message.

    Attributes:
        name: For the truth file.
        reason: The code it must be quarantined with.
        make: From a device id and a moment to the payload.
    """

    name: str
    reason: Reason
    make: Callable[[str, datetime], bytes]


def _good(device_id: str, at: datetime) -> dict[str, Any]:
    timestamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "device_id": device_id,
        "timestamp": timestamp,
        "tilt_angle": 0.3125,
        "status": "normal",
        "battery_level": 87,
    }


def _with(**changes: Any) -> Callable[[str, datetime], bytes]:  # noqa: ANN401 - any JSON, also wrong
    """Make a reading with some members replaced or added."""
    return lambda device_id, at: _ENCODER.encode(_good(device_id, at) | changes).encode()


def _without(name: str) -> Callable[[str, datetime], bytes]:
    def make(device_id: str, at: datetime) -> bytes:
        members = _good(device_id, at)
        del members[name]
        return _ENCODER.encode(members).encode()

    return make


def _literal(name: str, json_text: str) -> Callable[[str, datetime], bytes]:
    """Make a reading with one member's value written as the given text, JSON or not."""

    def make(device_id: str, at: datetime) -> bytes:
        members = _good(device_id, at) | {name: "@"}
        return _ENCODER.encode(members).replace('"@"', json_text).encode()

    return make


def _timestamp(rewrite: Callable[[datetime], str]) -> Callable[[str, datetime], bytes]:
    return lambda device_id, at: _with(timestamp=rewrite(at.astimezone(UTC)))(device_id, at)


def _week_date(at: datetime) -> str:
    year, week, day = at.isocalendar()
    return f"{year}-W{week:02d}-{day}T{at:%H:%M:%S}Z"


def _always(payload: bytes) -> Callable[[str, datetime], bytes]:
    return lambda _device_id, _at: payload


def _text(edit: Callable[[str], str]) -> Callable[[str, datetime], bytes]:
    """Make a reading and edit its JSON text."""
    return lambda device_id, at: edit(_ENCODER.encode(_good(device_id, at))).encode()


def _oversized(device_id: str, at: datetime) -> bytes:
    return _with(padding="x" * _LIMIT_BYTES)(device_id, at)


def _not_utf8(device_id: str, at: datetime) -> bytes:
    return _with(place="@")(device_id, at).replace(b"@", b"Br\xfccke")  # Latin-1


MALFORMED = (
    Malformed("empty", Reason.EMPTY_PAYLOAD, _always(b"")),
    Malformed("oversized", Reason.PAYLOAD_TOO_LARGE, _oversized),
    Malformed("latin-1", Reason.NOT_UTF8, _not_utf8),
    Malformed("binary", Reason.NOT_UTF8, _always(bytes(range(128, 192)))),
    Malformed("not-json", Reason.INVALID_JSON, _always(b"tilt=0.31;battery=87")),
    Malformed("truncated", Reason.INVALID_JSON, _text(lambda text: text[:-7])),
    Malformed("two-objects", Reason.INVALID_JSON, _text(lambda text: text + text)),
    Malformed("nan", Reason.INVALID_JSON, _literal("tilt_angle", "NaN")),
    Malformed("infinity", Reason.INVALID_JSON, _literal("tilt_angle", "-Infinity")),
    Malformed("overflowing-number", Reason.INVALID_JSON, _literal("tilt_angle", "1e999")),
    Malformed("5000-digits", Reason.INVALID_JSON, _literal("sequence", "9" * 5000)),
    Malformed("nested", Reason.NESTED_TOO_DEEPLY, _literal("x", "[" * 1000 + "]" * 1000)),
    Malformed(
        "duplicate-key", Reason.DUPLICATE_KEY, _text(lambda text: text[:-1] + ',"tilt_angle":9.5}')
    ),
    Malformed("lone-surrogate", Reason.INVALID_TEXT, _literal("place", '"\\ud800"')),
    Malformed("nul", Reason.INVALID_TEXT, _literal("place", '"a\\u0000b"')),
    Malformed("number", Reason.NOT_AN_OBJECT, _always(b"0.3125")),
    Malformed("string", Reason.NOT_AN_OBJECT, _always(b'"0.3125"')),
    Malformed("null", Reason.NOT_AN_OBJECT, _always(b"null")),
    Malformed("empty-array", Reason.EMPTY_ARRAY, _always(b"[]")),
    Malformed("odd-device-id", Reason.INVALID_DEVICE_ID, _with(device_id="sim/1")),
    Malformed("other-device-id", Reason.DEVICE_ID_MISMATCH, _with(device_id="not-this-device")),
    Malformed("no-tilt-angle", Reason.MISSING_FIELD, _without("tilt_angle")),
    Malformed("no-timestamp", Reason.MISSING_FIELD, _without("timestamp")),
    Malformed("week-date", Reason.INVALID_TIMESTAMP, _timestamp(_week_date)),
    Malformed("date-only", Reason.INVALID_TIMESTAMP, _timestamp(lambda at: f"{at:%Y-%m-%d}")),
    Malformed(
        "naive-time", Reason.INVALID_TIMESTAMP, _timestamp(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}")
    ),
    Malformed(
        "blank-in-time", Reason.INVALID_TIMESTAMP, _timestamp(lambda at: f"{at:%Y-%m-%d %H:%M:%S}Z")
    ),
    Malformed(
        "full-width-digits",
        Reason.INVALID_TIMESTAMP,
        _timestamp(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}Z".translate(_FULL_WIDTH)),
    ),
    Malformed("month-13", Reason.INVALID_TIMESTAMP, _with(timestamp="2026-13-01T00:00:00Z")),
    Malformed("fractional-unix", Reason.INVALID_TIMESTAMP, _with(timestamp=1_764_000_000.5)),
    Malformed("true-as-time", Reason.INVALID_TIMESTAMP, _with(timestamp=True)),
    Malformed(
        "future",
        Reason.TIMESTAMP_IN_FUTURE,
        _timestamp(lambda at: f"{at + timedelta(days=365):%Y-%m-%dT%H:%M:%S}Z"),
    ),
    Malformed("year-2000", Reason.TIMESTAMP_TOO_OLD, _with(timestamp="2000-01-01T00:00:00Z")),
    Malformed("text-as-angle", Reason.INVALID_TILT_ANGLE, _with(tilt_angle="0.3125")),
    Malformed("true-as-angle", Reason.INVALID_TILT_ANGLE, _with(tilt_angle=True)),
    Malformed("angle-181", Reason.INVALID_TILT_ANGLE, _with(tilt_angle=181)),
    Malformed("unknown-status", Reason.INVALID_STATUS, _with(status="OK")),
    Malformed("number-as-status", Reason.INVALID_STATUS, _with(status=0)),
    Malformed("true-as-battery", Reason.INVALID_BATTERY_LEVEL, _with(battery_level=True)),
    Malformed("fraction-as-battery", Reason.INVALID_BATTERY_LEVEL, _with(battery_level=85.0)),
    Malformed("battery-101", Reason.INVALID_BATTERY_LEVEL, _with(battery_level=101)),
    Malformed("text-as-sequence", Reason.INVALID_FIELD, _with(sequence="12")),
    Malformed("sequence-2-63", Reason.INVALID_FIELD, _with(sequence=2**63)),
    Malformed("text-as-temperature", Reason.INVALID_FIELD, _with(temperature="21.5")),
    Malformed("tilt-x-200", Reason.INVALID_FIELD, _with(tilt_x=200.0)),
)
"""Every kind; a faulty device draws evenly from them."""
