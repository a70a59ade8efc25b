"""Frames and settings of ELSYS sensors: a tag, then as many bytes as the tag says.

The frames of all models have one form and no header, so a frame of a sibling is read in full, and
a tag that stands twice counts with its last value. Tags of light, CO2, sound, thermal images and
the like are refused: no model here has them.

Source: TheThingsNetwork/lorawan-devices, vendor/elsys/elsys.js, the vendor's own; the settings:
ELSYS sensor downlink payload (elsys.se/public/documents/elsys_downlink_payload.pdf) as quoted by
integrators, not confirmed on a device.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from plumbline.codecs.sensors.acceleration import tilt_from_vertical_deg
from plumbline.codecs.sensors.codec import Downlink
from plumbline.codecs.sensors.frame import refuse, require_frame, require_within
from plumbline.codecs.sensors.parameters import require_only, unsupported, whole
from plumbline.codecs.sensors.sample import Sample

DEFAULT_F_PORT = 5
COMMANDS = ("set_interval", "reboot")

COUNTS_PER_G = 63
_DOWNLINK_PORT = DEFAULT_F_PORT + 1
_MAX_UINT32 = 0xFFFF_FFFF


class _Tag(NamedTuple):
    length: int
    read: Callable[[bytes], dict[str, Any]]


def _unsigned(name: str, length: int) -> _Tag:
    return _Tag(length, lambda value: {name: int.from_bytes(value, "big")})


def _temperature(name: str) -> _Tag:
    def read(value: bytes) -> dict[str, Any]:
        celsius = int.from_bytes(value, "big", signed=True) / 10
        require_within(name, celsius, -60.0, 125.0)
        return {name: celsius}

    return _Tag(2, read)


def _humidity(value: bytes) -> dict[str, Any]:
    require_within("humidity_pct", value[0], 0, 100)
    return {"humidity_pct": value[0]}


def _acceleration(value: bytes) -> dict[str, Any]:
    names = ("acc_x_count", "acc_y_count", "acc_z_count")
    return dict(zip(names, struct.unpack(">bbb", value), strict=True))


_TAGS = {
    0x01: _temperature("temperature_c"),
    0x02: _Tag(1, _humidity),
    0x03: _Tag(3, _acceleration),
    0x07: _Tag(2, lambda value: {"battery_v": int.from_bytes(value, "big") / 1000}),
    0x08: _unsigned("analog1_mv", 2),
    0x0A: _unsigned("pulse1", 2),
    0x0B: _unsigned("pulse1_total", 4),
    0x0C: _temperature("external_temperature_c"),
    0x0D: _unsigned("external_digital", 1),
    0x0E: _unsigned("external_distance_mm", 2),
    0x0F: _unsigned("acc_motion", 1),
    0x11: _unsigned("occupancy", 1),
    0x12: _unsigned("water_leak", 1),
    0x14: _Tag(4, lambda value: {"pressure_hpa": int.from_bytes(value, "big", signed=True) / 1000}),
    0x16: _unsigned("pulse2", 2),
    0x17: _unsigned("pulse2_total", 4),
    0x18: _unsigned("analog2_mv", 2),
    0x19: _temperature("external_temperature2_c"),
    0x1A: _unsigned("external_digital2", 1),
    0x1B: _Tag(4, lambda value: {"analog_uv": int.from_bytes(value, "big", signed=True)}),
}


def read_frame(model: str, payload: bytes, f_port: int) -> Sample:
    """Read one frame; the tilt is computed from the acceleration (`tilt_from_vertical_deg`).

    Raises:
        InvalidPayload: An unknown or truncated tag, or a value that no sensor measures.
    """
    require_frame(payload, f_port)
    fields: dict[str, Any] = {}
    position = 0
    while position < len(payload):
        tag = _TAGS.get(payload[position])
        if tag is None:
            refuse(f"tag {payload[position]:02x} at byte {position} is none of this model")
        value = payload[position + 1 : position + 1 + tag.length]
        if len(value) < tag.length:
            refuse(f"tag {payload[position]:02x} ends after {len(value)} bytes")
        fields.update(tag.read(value))
        position += 1 + tag.length
    return _sample(model, fields)


def encode(model: str, command: str, params: Mapping[str, Any]) -> Downlink:
    """Encode ``set_interval`` (``interval_s``, the sensor's time base; it restarts) or ``reboot``.

    The port is one above the uplink's, 6 as delivered.

    Raises:
        UnsupportedCommand: Another verb or other parameters.
    """
    match command:
        case "set_interval":
            require_only(params, "interval_s")
            interval_s = whole(params, "interval_s", 1, _MAX_UINT32)
            return _settings(b"\x14" + interval_s.to_bytes(4, "big") + b"\xfe")
        case "reboot":
            require_only(params)
            return _settings(b"\xfe")
    raise unsupported(model, command, COMMANDS)


def _settings(settings: bytes) -> Downlink:
    return Downlink(_DOWNLINK_PORT, bytes((0x3E, len(settings))) + settings)


def _sample(model: str, fields: dict[str, Any]) -> Sample:
    if "acc_x_count" not in fields:
        return Sample(model=model, fields=fields, no_tilt="no acceleration in the frame")
    tilt = tilt_from_vertical_deg(
        fields["acc_x_count"] / COUNTS_PER_G,
        fields["acc_y_count"] / COUNTS_PER_G,
        fields["acc_z_count"] / COUNTS_PER_G,
    )
    return Sample(
        model=model,
        fields=fields,
        tilt_angle_deg=tilt,
        no_tilt="" if tilt is not None else "the acceleration is not gravity alone",
    )
