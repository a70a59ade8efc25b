"""Dragino LGT-92."""

import struct
from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import dragino
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.frame import require_frame, require_length, require_within
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reading import Status

_PORT = 2
_POSITION = struct.Struct(">iiHB")
_ANGLES = struct.Struct(">hh")
_HEIGHT = struct.Struct(">Bh")
_WITH_ANGLES = _POSITION.size + _ANGLES.size
_WITH_HEIGHT = _WITH_ANGLES + _HEIGHT.size

_BATTERY_MV = 0x3FFF
_ALARM = 0x4000
_LED = 0x20
_FIRMWARE = 0x1F
_FIRST_FIRMWARE = 160
_MOTION_SHIFT = 6
_MOTION = {0: "disabled", 1: "move", 2: "collide", 3: "user"}
_NO_POSITION = {(0, 0), (0x0FFF_FFFF, 0x0FFF_FFFF)}
"""No fix within its time; battery too low for the receiver."""


class Lgt92:
    """Decodes LGT-92 frames.

    Measures: absolute roll and pitch from its motion sensor, in steps of 0.01 degree; the vendor
    states no accuracy.
    Tilt angle: roll; frames without the motion sensor's bytes have none.
    Source: TheThingsNetwork/lorawan-devices, vendor/dragino/lgt92-codec.yaml and lgt92.js (which
    loses the sign of roll and pitch); Dragino LGT-92 user manual.
    """

    model = "dragino-lgt92"
    default_f_port = _PORT
    commands = dragino.COMMANDS

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one uplink (port 2): 11 bytes, 15 with angles, 18 with dilution and altitude.

        Raises:
            InvalidPayload: Another port or length, or a position or voltage that cannot be.
        """
        require_frame(payload, f_port, _PORT)
        require_length(payload, _POSITION.size, _WITH_ANGLES, _WITH_HEIGHT)
        latitude, longitude, battery, flags = _POSITION.unpack_from(payload)
        alarm = bool(battery & _ALARM)
        fields: dict[str, Any] = {
            "battery_v": _volts(battery & _BATTERY_MV),
            **_angles(payload),
            **_position(latitude, longitude),
            "alarm": alarm,
            "motion_mode": _MOTION[flags >> _MOTION_SHIFT],
            "led": bool(flags & _LED),
            "firmware": _FIRST_FIRMWARE + (flags & _FIRMWARE),
        }
        if len(payload) == _WITH_HEIGHT:
            hdop, altitude = _HEIGHT.unpack_from(payload, _WITH_ANGLES)
            fields |= {"hdop": hdop / 100, "altitude_m": altitude / 100}
        return Sample(
            model=self.model,
            fields=fields,
            tilt_angle_deg=fields["roll_deg"],
            no_tilt="the frame has no bytes of the motion sensor",
            status=Status.ALARM if alarm else Status.NORMAL,
        )

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:
        """Encode a command.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        return dragino.encode(self.model, command, params)


def _angles(payload: bytes) -> dict[str, float | None]:
    if len(payload) < _WITH_ANGLES:
        return {"roll_deg": None, "pitch_deg": None}
    roll, pitch = _ANGLES.unpack_from(payload, _POSITION.size)
    return {"roll_deg": roll / 100, "pitch_deg": pitch / 100}


def _position(latitude: int, longitude: int) -> dict[str, float | None]:
    if (latitude, longitude) in _NO_POSITION:
        return {"latitude": None, "longitude": None}
    require_within("latitude", latitude / 1e6, -90.0, 90.0)
    require_within("longitude", longitude / 1e6, -180.0, 180.0)
    return {"latitude": latitude / 1e6, "longitude": longitude / 1e6}


def _volts(millivolts: int) -> float:
    # One lithium cell: a frame that says anything else is another model's.
    require_within("battery_v", millivolts / 1000, 1.8, 4.3)
    return millivolts / 1000


CODEC: SensorCodec = Lgt92()
