"""Netvox R720G."""

import struct
from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import netvox
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.frame import require_within
from plumbline.codecs.sensors.netvox_configuration import CONFIGURE
from plumbline.codecs.sensors.parameters import require_only, unsupported, whole
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reading import Status

_DEVICE_TYPE = 0xB5
_NO_POSITION = -1


def _latitude_and_angles(payload: bytes) -> dict[str, Any]:
    latitude, x, y, z = struct.unpack_from(">ibbb", payload, 4)
    return {
        "latitude": _coordinate("latitude", latitude, 90.0),
        "tilt_x_deg": x,
        "tilt_y_deg": y,
        "tilt_z_deg": z,
    }


def _longitude_and_altitude(payload: bytes) -> dict[str, Any]:
    longitude, hdop, altitude = struct.unpack_from(">iBH", payload, 4)
    return {
        "longitude": _coordinate("longitude", longitude, 180.0),
        "hdop": hdop,
        "altitude_m": altitude,
    }


def _coordinate(name: str, value: int, limit_deg: float) -> float | None:
    if value == _NO_POSITION:
        return None
    require_within(name, value / 1e6, -limit_deg, limit_deg)
    return value / 1e6


_KIND = netvox.Kind(
    device_type=_DEVICE_TYPE,
    reports={1: _latitude_and_angles, 2: _longitude_and_altitude},
    configuration=netvox.intervals,
    threshold=lambda frame: {"active_threshold": frame[2]},
)


class R720g:
    """Decodes R720G frames.

    Measures: absolute angle of each axis to the horizontal, in whole degrees. A position comes in
    two frames: latitude with the angles, then longitude without them.
    Tilt angle: the x axis.
    Source: TheThingsNetwork/lorawan-devices, vendor/netvox/r720g-codec.yaml.
    """

    model = "netvox-r720g"
    default_f_port = netvox.REPORT_PORT
    commands = ("set_interval",)

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode a report (port 6) or the answer to a command (port 7).

        Raises:
            InvalidPayload: Another port, length, version, device type or report, or a coordinate
                that is none.
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
        """Encode a command.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        if command != "set_interval":
            raise unsupported(self.model, command, self.commands)
        require_only(params, "interval_s")
        interval_s = whole(params, "interval_s", 1, 65_535)
        payload = struct.pack(">BBHH5x", CONFIGURE, _DEVICE_TYPE, interval_s, interval_s)
        return Downlink(netvox.COMMAND_PORT, payload)


CODEC: SensorCodec = R720g()
