"""Milesight EM320-TILT."""

import struct
from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import milesight
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.milesight import Record
from plumbline.codecs.sensors.milesight_threshold import set_threshold
from plumbline.codecs.sensors.parameters import unsupported
from plumbline.codecs.sensors.sample import Sample

_ALARM = 0x01


def _angles(value: bytes) -> dict[str, Any]:
    # The lowest bit of each number is its alarm; the shift keeps the sign.
    x, y, z = struct.unpack("<hhh", value)
    return {
        "tilt_x_deg": (x >> 1) / 100,
        "tilt_y_deg": (y >> 1) / 100,
        "tilt_z_deg": (z >> 1) / 100,
        "alarm_x": bool(x & _ALARM),
        "alarm_y": bool(y & _ALARM),
        "alarm_z": bool(z & _ALARM),
    }


_RECORDS = milesight.with_answers(
    threshold=milesight.threshold_record("alarm_interval_s", "alarm_times"),
    measured={b"\x03\xd4": Record(6, _angles)},
)


class Em320Tilt:
    """Decodes EM320-TILT frames.

    Measures: angle of each axis relative to the initial position that was set on the device (the
    command ``zero``), in steps of 0.01 degree.
    Tilt angle: the x axis.
    Source: Milesight EM320-TILT user guide, "Uplink payload" and "Downlink command"
    (milesight.com/products/docs/en/em320-tilt).
    """

    model = "milesight-em320-tilt"
    default_f_port = milesight.F_PORT
    commands = ("set_interval", "set_threshold", "zero", "reboot", "request_reading")

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one uplink (port 85).

        Raises:
            InvalidPayload: Another port, or a record that is unknown, truncated or repeated.
        """
        fields = milesight.read_records(payload, f_port, _RECORDS)
        return Sample(
            model=self.model,
            fields=fields,
            tilt_angle_deg=fields.get("tilt_x_deg"),
            no_tilt="no record of angles (03 d4)",
            status=milesight.alarm_status(fields),
        )

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:
        """Encode a command.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        match command:
            case "set_interval":
                return milesight.set_interval(params)
            case "set_threshold":
                return set_threshold(params, {"alarm_interval_s": 60, "alarm_times": 1})
            case "zero":
                return milesight.bare("ff62ff", params)
            case "reboot":
                return milesight.bare("ff10ff", params)
            case "request_reading":
                return milesight.bare("ff28ff", params)
        raise unsupported(self.model, command, self.commands)


CODEC: SensorCodec = Em320Tilt()
