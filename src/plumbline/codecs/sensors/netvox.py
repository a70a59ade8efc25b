"""Frames of Netvox sensors: eleven bytes, version or command, device type, then the model's own.

Source: Netvox LoRaWAN Application Command, as quoted in the user manuals and in
TheThingsNetwork/lorawan-devices, vendor/netvox.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from plumbline.codecs.sensors.frame import one_of, refuse, require_frame, require_length

REPORT_PORT = 6
COMMAND_PORT = 7

_LENGTH = 11
_VERSION = 1
_LOW_BATTERY = 0x80
_NAMES = {0x9A: "R718EA", 0xB5: "R720G", 0xC8: "R718EB"}
_MAX_DIGIT = 9

_ANSWERS = {
    0x81: "config_report",
    0x82: "read_config_report",
    0x83: "set_active_threshold",
    0x84: "get_active_threshold",
}

Read = Callable[[bytes], dict[str, Any]]


class Kind(NamedTuple):
    """One model: its device type, and what reads its frames.

    Attributes:
        reports: By report type.
        configuration, threshold: Read the answers that say the device's settings.
    """

    device_type: int
    reports: Mapping[int, Read]
    configuration: Read
    threshold: Read


def read_frame(payload: bytes, f_port: int, kind: Kind) -> dict[str, Any]:
    """Read one frame: a report (port 6) or the answer to a command (port 7).

    Raises:
        InvalidPayload: Another port, length or version, another model's device type, an unknown
            report, or a command instead of an answer.
    """
    require_frame(payload, f_port, REPORT_PORT, COMMAND_PORT)
    require_length(payload, _LENGTH)
    if payload[1] != kind.device_type:
        name = _NAMES.get(payload[1], "another model")
        refuse(f"device type {payload[1]:02x} is {name}, expected {kind.device_type:02x}")
    if f_port == COMMAND_PORT:
        return _answer(payload, kind)
    if payload[0] != _VERSION:
        refuse(f"version {payload[0]}, expected {_VERSION}")
    report = payload[2]
    if report == 0:
        return _version(payload)
    if report not in kind.reports:
        refuse(f"report type {report} is not defined")
    return battery(payload[3]) | kind.reports[report](payload)


def battery(value: int) -> dict[str, Any]:
    """Read the battery byte: tenths of a volt, the highest bit says it is low."""
    return {
        "battery_v": (value & ~_LOW_BATTERY) / 10,
        "battery_low": bool(value & _LOW_BATTERY),
    }


def intervals(payload: bytes) -> dict[str, Any]:
    """Read the two intervals that every configuration begins with."""
    return {
        "min_interval_s": int.from_bytes(payload[2:4], "big"),
        "max_interval_s": int.from_bytes(payload[4:6], "big"),
    }


def acceleration_threshold(payload: bytes) -> dict[str, Any]:
    """Read the threshold that wakes an R718E sensor, in steps of 0.0625 g."""
    return {
        "active_threshold": int.from_bytes(payload[2:4], "big"),
        "inactive_time_s": payload[4],
    }


def _version(payload: bytes) -> dict[str, Any]:
    date = payload[5:9]
    if any(byte >> 4 > _MAX_DIGIT or byte & 0x0F > _MAX_DIGIT for byte in date):
        refuse("the date code is not decimal")
    return {
        "software_version": payload[3] / 10,
        "hardware_version": payload[4],
        "datecode": date.hex(),
    }


def _answer(payload: bytes, kind: Kind) -> dict[str, Any]:
    command = one_of("answer", payload[0], _ANSWERS)
    match command:
        case "read_config_report":
            fields = kind.configuration(payload)
        case "get_active_threshold":
            fields = kind.threshold(payload)
        case _:
            fields = {"success": payload[2] == 0}
    return {"command": command, **fields}
