"""Netvox R718EA."""

import struct
from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import netvox
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.netvox_configuration import COMMANDS, CONFIGURE, read_parameters
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reading import Status

_DEVICE_TYPE = 0x9A


def _angles(payload: bytes) -> dict[str, Any]:
    x, y, z, temperature = struct.unpack_from(">bbbh", payload, 4)
    return {
        "tilt_x_deg": x,
        "tilt_y_deg": y,
        "tilt_z_deg": z,
        "temperature_c": temperature / 10,
    }


def _configuration(payload: bytes) -> dict[str, Any]:
    return netvox.intervals(payload) | {
        "battery_change_v": payload[6] / 10,
        "angle_change_deg": payload[7],
        "temperature_change_c": payload[8] / 10,
    }


_KIND = netvox.Kind(
    device_type=_DEVICE_TYPE,
    reports={1: _angles},
    configuration=_configuration,
    threshold=netvox.acceleration_threshold,
)


class R718ea:
    """Decodes R718EA frames.

    Measures: absolute angle of each axis to the horizontal, in whole degrees.
    Tilt angle: the x axis.
    Source: Netvox R718EA user manual, "Data report"; TheThingsNetwork/lorawan-devices,
    vendor/netvox/r718ea-codec.yaml (its decoder reads temperatures above zero from the wrong
    bytes).
    """

    model = "netvox-r718ea"
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
        """Encode a command; the angle's change in whole degrees.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        change = read_parameters(self.model, command, params, steps_per_degree=1, thermometer=True)
        payload = struct.pack(
            ">BBHHBBBH",
            CONFIGURE,
            _DEVICE_TYPE,
            change.interval_s,
            change.interval_s,
            change.battery_change,
            change.angle_change,
            change.temperature_change,
            0,
        )
        return Downlink(netvox.COMMAND_PORT, payload)


CODEC: SensorCodec = R718ea()
