"""The frames of some sensor models, and what each must become.

Sources: the vendors' layouts, as on the models' pages in docs/reference/sensors.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from plumbline.domain.reading import Status
from plumbline.simulator.device import Sample

_HUNDREDTHS = 100
_TENTHS = 10


@dataclass(frozen=True, slots=True)
class Frame:
    """What a sensor sends, and what it must become.

    Attributes:
        payload: The vendor's bytes.
        reading: Members of the document's reading.
        sensor: What has no place there, by the names of the model's page.
    """

    payload: bytes
    reading: Mapping[str, Any]
    sensor: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SensorModel:
    """One model.

    Attributes:
        name: As registered.
        f_port: Of its measurements.
        measure: From what the device measured and its frame counter to a frame.
        start: Port and bytes of a frame without an angle that it sends when it starts.
        interval_s: From port and bytes of a downlink to the interval that it sets, or None.
        reboot: Port and bytes of the downlink that restarts it, or None.
    """

    name: str
    f_port: int
    measure: Callable[[Sample, int], Frame]
    start: tuple[int, bytes]
    interval_s: Callable[[int, bytes], int | None]
    reboot: tuple[int, bytes] | None = None


def _em310(sample: Sample, _f_cnt: int) -> Frame:
    alarm = sample.status is Status.ALARM
    axes = _axes(sample, _HUNDREDTHS)
    payload = bytes([0x01, 0x75, sample.battery_level_pct, 0x03, 0xCF])
    payload += struct.pack("<hhhB", *axes, alarm)
    return Frame(payload, _milesight(sample, axes, alarm=alarm), _alarms(alarm=alarm))


def _em320(sample: Sample, _f_cnt: int) -> Frame:
    alarm = sample.status is Status.ALARM
    axes = _axes(sample, _HUNDREDTHS)
    payload = bytes([0x01, 0x75, sample.battery_level_pct, 0x03, 0xD4])
    payload += struct.pack("<hhh", axes[0] << 1 | alarm, axes[1] << 1, axes[2] << 1)
    return Frame(payload, _milesight(sample, axes, alarm=alarm), _alarms(alarm=alarm))


def _ts01(sample: Sample, _f_cnt: int) -> Frame:
    alarm = sample.status is Status.ALARM
    millivolts = 2500 + 11 * sample.battery_level_pct
    tenths_c = round(sample.temperature_c * _TENTHS)
    roll, pitch = (round(deg * 32768 / 180) for deg in (sample.tilt_x_deg, sample.tilt_y_deg))
    payload = struct.pack(">HBhhhBB", millivolts, alarm, tenths_c, roll, pitch, 0, 0)
    roll_deg, pitch_deg = (round(raw * 180 / 32768, 4) for raw in (roll, pitch))
    reading = {
        "tilt_angle": roll_deg,
        "tilt_x": roll_deg,
        "tilt_y": pitch_deg,
        "temperature": tenths_c / _TENTHS,
        "status": "alarm" if alarm else "normal",
    }
    sensor = {"battery_v": millivolts / 1000, "mount": "level", "interrupt": False, "alarm": alarm}
    return Frame(payload, reading, sensor)


def _r718eb(sample: Sample, _f_cnt: int) -> Frame:
    decivolts = 20 + round(sample.battery_level_pct * 16 / 100)
    low = sample.battery_level_pct <= _LOW_PCT
    axes = _axes(sample, _TENTHS)
    payload = struct.pack(">BBBBhhhB", 1, 0xC8, 1, decivolts | (0x80 if low else 0), *axes, 0)
    reading = _angles(axes, _TENTHS) | {"status": "warning" if low else "normal"}
    return Frame(payload, reading, {"battery_v": decivolts / 10, "battery_low": low})


def _rbs306(sample: Sample, f_cnt: int) -> Frame:
    tenths = round(abs(sample.tilt_z_deg) * _TENTHS)
    celsius = round(sample.temperature_c)
    counter = f_cnt & 0x0F
    degrees = tenths // _TENTHS, tenths % _TENTHS
    payload = struct.pack(">BBBBBb", 0x10 | counter, 0x0F, 0, *degrees, celsius)
    reading = {"tilt_angle": tenths / _TENTHS, "temperature": celsius, "status": "normal"}
    sensor = {
        "protocol": 1,
        "counter": counter,
        "event": "periodic",
        "tilt_from_vertical_deg": tenths / _TENTHS,
    }
    return Frame(payload, reading, sensor)


_LOW_PCT = 10


def _axes(sample: Sample, per_degree: int) -> tuple[int, int, int]:
    degrees = (sample.tilt_x_deg, sample.tilt_y_deg, sample.tilt_z_deg)
    x, y, z = (round(value * per_degree) for value in degrees)
    return x, y, z


def _angles(axes: tuple[int, int, int], per_degree: int) -> dict[str, Any]:
    x, y, z = (value / per_degree for value in axes)
    return {"tilt_angle": x, "tilt_x": x, "tilt_y": y, "tilt_z": z}


def _milesight(sample: Sample, axes: tuple[int, int, int], *, alarm: bool) -> dict[str, Any]:
    return _angles(axes, _HUNDREDTHS) | {
        "battery_level": sample.battery_level_pct,
        "status": "alarm" if alarm else "normal",
    }


def _alarms(*, alarm: bool) -> dict[str, Any]:
    return {"alarm_x": alarm, "alarm_y": False, "alarm_z": False}


def _milesight_interval_s(f_port: int, payload: bytes) -> int | None:
    head = payload[:2] == b"\xff\x03"
    is_interval = (f_port, len(payload), head) == (85, 4, True)
    return int.from_bytes(payload[2:], "little") if is_interval else None


def _dragino_interval_s(f_port: int, payload: bytes) -> int | None:
    is_interval = (f_port, len(payload), payload[:1]) == (2, 4, b"\x01")
    return int.from_bytes(payload[1:], "big") if is_interval else None


def _netvox_interval_s(f_port: int, payload: bytes) -> int | None:
    is_interval = (f_port, len(payload), payload[:2]) == (7, 11, b"\x01\xc8")
    return int.from_bytes(payload[4:6], "big") if is_interval else None


_MILESIGHT_START = (85, bytes.fromhex("ff0bffff0101ff090100ff0a0103"))
_MILESIGHT_REBOOT = (85, bytes.fromhex("ff10ff"))

MODELS = (
    SensorModel(
        "milesight-em310-tilt",
        85,
        _em310,
        _MILESIGHT_START,
        _milesight_interval_s,
        _MILESIGHT_REBOOT,
    ),
    SensorModel(
        "dragino-ts01-lb",
        2,
        _ts01,
        (5, bytes.fromhex("2f010001ff0ce4")),
        _dragino_interval_s,
        (2, bytes.fromhex("04ff")),
    ),
    SensorModel(
        "milesight-em320-tilt",
        85,
        _em320,
        _MILESIGHT_START,
        _milesight_interval_s,
        _MILESIGHT_REBOOT,
    ),
    SensorModel(
        "netvox-r718eb",
        6,
        _r718eb,
        (6, bytes.fromhex("01c8000a03202401180000")),
        _netvox_interval_s,
    ),
    SensorModel(
        "radiobridge-rbs306-tilt-hp",
        2,
        _rbs306,
        (2, bytes.fromhex("10000f0101000000")),
        lambda _f_port, _payload: None,
    ),
)
BY_NAME = {model.name: model for model in MODELS}
