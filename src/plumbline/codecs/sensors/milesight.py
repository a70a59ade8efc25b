"""Records of Milesight sensors: channel, type, value; and their downlinks, which look the same.

A device answers a downlink with the same record, on channel ff or fe.

Source: Milesight-IoT/SensorDecoders, em-series/em310-tilt and em320-tilt (README, encoder).
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from plumbline.codecs.sensors.codec import Downlink
from plumbline.codecs.sensors.frame import one_of, refuse, require_frame
from plumbline.codecs.sensors.parameters import require_only, whole
from plumbline.domain.reading import Status

F_PORT = 85
CONDITIONS = {
    "disabled": 0,
    "below": 1,
    "above": 2,
    "within": 3,
    "below_or_above": 4,
    "mutation": 5,
}
AXES = {"x": 1, "y": 2, "z": 3}

_CLASSES = {0: "A", 1: "B", 2: "C", 3: "C to B"}
_ZEROS = {
    0xFF: "current_position",
    0xFE: "reset",
    0xFD: "calibrate",
    0xFC: "clear_calibration",
}
_CONDITION_NAMES = {code: name for name, code in CONDITIONS.items()}
_AXIS_NAMES = {code: name for name, code in AXES.items()}
_CONDITION_BITS = 0x07
_AXIS_SHIFT = 3


class Record(NamedTuple):
    """One kind of record: how many bytes follow its channel and type, and what they say."""

    length: int
    read: Callable[[bytes], dict[str, Any]]


def read_records(payload: bytes, f_port: int, records: Mapping[bytes, Record]) -> dict[str, Any]:
    """Read all records of a frame.

    Args:
        records: By channel and type.

    Raises:
        InvalidPayload: Another port, an unknown or truncated record, or one that comes twice.
    """
    require_frame(payload, f_port, F_PORT)
    fields: dict[str, Any] = {}
    seen: set[bytes] = set()
    position = 0
    while position < len(payload):
        key = payload[position : position + 2]
        record = records.get(key)
        if record is None:
            refuse(f"record {key.hex()} at byte {position} is none of this model")
        if key in seen:
            refuse(f"record {key.hex()} comes twice")
        seen.add(key)
        position += 2
        value = payload[position : position + record.length]
        if len(value) < record.length:
            refuse(f"record {key.hex()} ends after {len(value)} of {record.length} bytes")
        fields.update(record.read(value))
        position += record.length
    return fields


def alarm_status(fields: Mapping[str, Any]) -> Status:
    """Return ALARM where an axis is beyond its threshold."""
    alarm = any(fields.get(name) for name in ("alarm_x", "alarm_y", "alarm_z"))
    return Status.ALARM if alarm else Status.NORMAL


def threshold_record(first_tail: str, second_tail: str) -> Record:
    """Return the threshold record (06); the meaning of its last two numbers is the model's."""

    def read(value: bytes) -> dict[str, Any]:
        control, minimum, maximum, first, second = struct.unpack("<BhhHH", value)
        return {
            "axis": one_of("axis", control >> _AXIS_SHIFT, _AXIS_NAMES),
            "condition": one_of("condition", control & _CONDITION_BITS, _CONDITION_NAMES),
            "min_deg": minimum / 100,
            "max_deg": maximum / 100,
            first_tail: first,
            second_tail: second,
        }

    return Record(9, read)


def with_answers(threshold: Record, measured: Mapping[bytes, Record]) -> dict[bytes, Record]:
    """Return the model's records: what it measures, what it is, and its answers to downlinks."""
    answers = {
        b"\x03": Record(2, lambda v: {"report_interval_s": int.from_bytes(v, "little")}),
        b"\x06": threshold,
        b"\x10": Record(1, lambda _: {"reboot": True}),
        b"\x28": Record(1, lambda _: {"query": True}),
        b"\x4a": Record(1, lambda _: {"sync_time": True}),
        b"\x62": Record(1, lambda v: {"zero": one_of("initial surface", v[0], _ZEROS)}),
        b"\x63": Record(8, _alarm_expression),
    }
    return {
        b"\x01\x75": Record(1, lambda v: {"battery_pct": v[0]}),
        **measured,
        b"\xff\x01": Record(1, lambda v: {"protocol_version": v[0]}),
        b"\xff\x09": Record(2, lambda v: {"hardware_version": f"{v[0]:x}.{v[1] >> 4:x}"}),
        b"\xff\x0a": Record(2, lambda v: {"firmware_version": f"{v[0]:x}.{v[1]:x}"}),
        b"\xff\x0b": Record(1, lambda _: {"power_on": True}),
        b"\xff\x0f": Record(1, lambda v: {"lorawan_class": one_of("class", v[0], _CLASSES)}),
        b"\xff\x16": Record(8, lambda v: {"serial": v.hex()}),
        b"\xff\xfe": Record(1, lambda _: {"reset": True}),
        b"\xff\xff": Record(2, lambda v: {"tsl_version": f"{v[0]}.{v[1]}"}),
        **{b"\xff" + kind: record for kind, record in answers.items()},
        **{b"\xfe" + kind: record for kind, record in answers.items()},
    }


def set_interval(params: Mapping[str, Any]) -> Downlink:
    """Encode ``interval_s``: 1 to 64,800 s.

    Raises:
        UnsupportedCommand: Other parameters, or beyond the limits.
    """
    require_only(params, "interval_s")
    interval_s = whole(params, "interval_s", 1, 64_800)
    return Downlink(F_PORT, b"\xff\x03" + struct.pack("<H", interval_s))


def bare(payload_hex: str, params: Mapping[str, Any]) -> Downlink:
    """Encode a command without parameters.

    Raises:
        UnsupportedCommand: There are parameters.
    """
    require_only(params)
    return Downlink(F_PORT, bytes.fromhex(payload_hex))


def _alarm_expression(value: bytes) -> dict[str, Any]:
    text = value.rstrip(b"\0")
    if not all(0x20 < byte < 0x7F for byte in text):  # noqa: PLR2004 - printable ASCII
        refuse("the alarm expression is not ASCII")
    return {"alarm_expression": text.decode()}
