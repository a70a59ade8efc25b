"""Frames and commands of Decentlab sensors.

Uplink: protocol version (2), device id, flags, then 16-bit words, all big-endian. Flag bit 0 says
that the sensor's words follow, bit 1 the battery's one word.

Source: decentlab/decentlab-decoders (DL-ATM22, DL-ATM41, DL-ATM41G2); the commands:
TheThingsNetwork/lorawan-devices, vendor/decentlab/dl-downlink-codec.js.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plumbline.codecs.sensors.codec import Downlink
from plumbline.codecs.sensors.frame import one_of, refuse, require_frame, require_length
from plumbline.codecs.sensors.parameters import require_only, unsupported, whole
from plumbline.codecs.sensors.sample import Sample

F_PORT = 1
COMMANDS = ("set_interval", "reboot")

_VERSION = 2
_HEADER = struct.Struct(">BHH")
_SENSOR, _BATTERY = 0x01, 0x02
_OFFSET = 32768

_SET_PERIOD_AND_SAVE = 0x0002
_RESET = 0xFEFE
_COMMAND_NAMES = {
    0x0001: "set_period",
    _SET_PERIOD_AND_SAVE: "set_period_and_save",
    _RESET: "reset",
}
_COMMAND_LENGTH = 6

Layout = Mapping[str, Callable[[Sequence[int]], float]]
"""Field name to its value from the sensor's words."""


def scaled(word: int, divisor: int) -> Callable[[Sequence[int]], float]:
    """Return the reader of a word with the offset of 32768, so that it can be negative."""
    return lambda words: (words[word] - _OFFSET) / divisor


def read_frame(model: str, payload: bytes, f_port: int, layout: Layout, words: int) -> Sample:
    """Read one uplink.

    Args:
        layout: The sensor's fields.
        words: How many the sensor sends.

    Raises:
        InvalidPayload: Another port, version or length, or flags the model does not have.
    """
    require_frame(payload, f_port, F_PORT)
    if len(payload) < _HEADER.size:
        refuse(f"{len(payload)} bytes are shorter than a header")
    version, device_id, flags = _HEADER.unpack_from(payload)
    if version != _VERSION:
        refuse(f"protocol version {version}, expected {_VERSION}")
    if not flags or flags & ~(_SENSOR | _BATTERY):
        refuse(f"flags {flags:04x} are none of this model")
    sensor_words = words if flags & _SENSOR else 0
    battery_words = 1 if flags & _BATTERY else 0
    require_length(payload, _HEADER.size + 2 * (sensor_words + battery_words))
    values = struct.unpack_from(f">{sensor_words + battery_words}H", payload, _HEADER.size)
    fields: dict[str, Any] = {"device_id": device_id}
    if sensor_words:
        fields |= {name: read(values) for name, read in layout.items()}
    if battery_words:
        fields["battery_v"] = values[-1] / 1000
    return Sample(
        model=model,
        fields=fields,
        tilt_angle_deg=fields.get("tilt_x_deg"),
        no_tilt="" if sensor_words else "the battery only; the sensor did not answer",
    )


def read_command(payload: bytes) -> dict[str, Any]:
    """Read a command frame, as it is sent to a device.

    Raises:
        InvalidPayload: Another length, a wrong checksum, or a command we do not know.
    """
    require_length(payload, _COMMAND_LENGTH)
    command, parameter, checksum = struct.unpack(">HHH", payload)
    if checksum != _crc16(payload[:4]):
        refuse("the checksum is wrong")
    name = one_of("command", command, _COMMAND_NAMES)
    return {"command": name} if command == _RESET else {"command": name, "period_s": parameter}


def encode(model: str, command: str, params: Mapping[str, Any]) -> Downlink:
    """Encode ``set_interval`` (``interval_s``, 1 to 65,535, kept after a restart) or ``reboot``.

    Raises:
        UnsupportedCommand: Another verb or other parameters.
    """
    match command:
        case "set_interval":
            require_only(params, "interval_s")
            return _command(_SET_PERIOD_AND_SAVE, whole(params, "interval_s", 1, 65_535))
        case "reboot":
            require_only(params)
            return _command(_RESET, 0)
    raise unsupported(model, command, COMMANDS)


def _command(command: int, parameter: int) -> Downlink:
    body = struct.pack(">HH", command, parameter)
    return Downlink(F_PORT, body + _crc16(body).to_bytes(2, "big"))


def _crc16(data: bytes) -> int:
    """Return the CRC-16 of Modbus: reflected polynomial A001, start FFFF."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
