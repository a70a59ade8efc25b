"""Milesight EM310-TILT."""

import struct
from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import milesight
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.milesight import Record
from plumbline.codecs.sensors.milesight_threshold import set_threshold
from plumbline.codecs.sensors.parameters import unsupported
from plumbline.codecs.sensors.sample import Sample


def _angles(value: bytes) -> dict[str, Any]:
    x, y, z, alarms = struct.unpack("<hhhB", value)
    return {
        "tilt_x_deg": x / 100,
        "tilt_y_deg": y / 100,
        "tilt_z_deg": z / 100,
        "alarm_x": bool(alarms & 0x01),
        "alarm_y": bool(alarms & 0x02),
        "alarm_z": bool(alarms & 0x04),
    }


_RECORDS = milesight.with_answers(
    threshold=milesight.threshold_record("alarm_lock_s", "alarm_continue_s"),
    measured={b"\x03\xcf": Record(7, _angles)},
)


class Em310Tilt:
    """Decodes EM310-TILT frames.

    Measures: absolute angle of each axis to the horizontal, in steps of 0.01 degree.
    Tilt angle: the x axis.
    Source: Milesight-IoT/SensorDecoders, em-series/em310-tilt/README.md.
    """

    model = "milesight-em310-tilt"
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
            no_tilt="no record of angles (03 cf)",
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
                return set_threshold(params, {"alarm_lock_s": 0, "alarm_continue_s": 0})
            case "zero":
                return milesight.bare("ff62ff", params)
            case "reboot":
                return milesight.bare("ff10ff", params)
            case "request_reading":
                return milesight.bare("ff28ff", params)
        raise unsupported(self.model, command, self.commands)


CODEC: SensorCodec = Em310Tilt()
