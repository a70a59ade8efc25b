"""Decentlab DL-ATM22."""

from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import decentlab
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.decentlab import scaled
from plumbline.codecs.sensors.sample import Sample

_WORDS = 8
_LAYOUT: decentlab.Layout = {
    "wind_speed_m_s": scaled(0, 100),
    "wind_direction_deg": scaled(1, 10),
    "wind_speed_max_m_s": scaled(2, 100),
    "temperature_c": scaled(3, 10),
    "tilt_x_deg": scaled(4, 10),
    "tilt_y_deg": scaled(5, 10),
    "wind_north_m_s": scaled(6, 100),
    "wind_east_m_s": scaled(7, 100),
}


class DlAtm22:
    """Decodes DL-ATM22 frames.

    Measures: absolute angle of the x and y axis to the horizontal, in steps of 0.1 degree: how the
    mast leans.
    Tilt angle: the x axis.
    Source: decentlab/decentlab-decoders, DL-ATM22.
    """

    model = "decentlab-dl-atm22"
    default_f_port = decentlab.F_PORT
    commands = decentlab.COMMANDS

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one uplink (port 1).

        Raises:
            InvalidPayload: Another port, version, length or flags.
        """
        return decentlab.read_frame(self.model, payload, f_port, _LAYOUT, _WORDS)

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:
        """Encode a command.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        return decentlab.encode(self.model, command, params)


CODEC: SensorCodec = DlAtm22()
