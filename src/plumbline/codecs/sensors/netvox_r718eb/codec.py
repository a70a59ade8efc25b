"""Netvox R718EB."""

import struct
from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import netvox
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.netvox_configuration import COMMANDS, CONFIGURE, read_parameters
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reading import Status

_DEVICE_TYPE = 0xC8


def _angles(payload: bytes) -> dict[str, Any]:
    x, y, z = struct.unpack_from(">hhh", payload, 4)
    return {"tilt_x_deg": x / 10, "tilt_y_deg": y / 10, "tilt_z_deg": z / 10}


def _configuration(payload: bytes) -> dict[str, Any]:
    return netvox.intervals(payload) | {
        "battery_change_v": payload[6] / 10,
        "angle_change_deg": int.from_bytes(payload[7:9], "big") / 10,
    }


_KIND = netvox.Kind(
    device_type=_DEVICE_TYPE,
    reports={1: _angles},
    configuration=_configuration,
    threshold=netvox.acceleration_threshold,
)


class R718eb:
    """Decodes R718EB frames.

    Measures: absolute angle of each axis to the horizontal, in steps of 0.1 degree.
    Tilt angle: the x axis.
    Source: Netvox LoRaWAN Application Command; TheThingsNetwork/lorawan-devices,
    vendor/netvox/r718eb-codec.yaml.
    """

    model = "netvox-r718eb"
    default_f_port = netvox.REPORT_PORT
    commands = COMMANDS

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode a report (port 6) or the answer to a command (port 7).

        Raises:
            InvalidPayload: Another port, length, version, device type or report.
        """
        fields = netvox.read_frame(payload, f_port, _KIND)
        return Sample(
            model=self.model,
            fields=fields,
            tilt_angle_deg=fields.get("tilt_x_deg"),
            no_tilt="no report of angles",
            status=Status.WARNING if fields.get("battery_low") else Status.NORMAL,
        )

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:
        """Encode a command; the angle's change in steps of 0.1 degree.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        change = read_parameters(self.model, command, params, steps_per_degree=10)
        payload = struct.pack(
            ">BBHHBHH",
            CONFIGURE,
            _DEVICE_TYPE,
            change.interval_s,
            change.interval_s,
            change.battery_change,
            change.angle_change,
            0,
        )
        return Downlink(netvox.COMMAND_PORT, payload)


CODEC: SensorCodec = R718eb()
