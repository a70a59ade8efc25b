"""Decentlab DL-ATM41G2."""

from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import decentlab
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.decentlab import scaled
from plumbline.codecs.sensors.frame import require_within
from plumbline.codecs.sensors.sample import Sample

_WORDS = 17
_LAYOUT: decentlab.Layout = {
    "solar_radiation_w_m2": scaled(0, 10),
    "precipitation_mm": lambda words: words[1] / 1000,
    "lightning_strikes": scaled(2, 1),
    "lightning_distance_km": scaled(3, 1),
    "wind_speed_m_s": scaled(4, 100),
    "wind_direction_deg": scaled(5, 10),
    "wind_speed_max_m_s": scaled(6, 100),
    "temperature_c": scaled(7, 10),
    "vapor_pressure_kpa": scaled(8, 100),
    "air_pressure_kpa": scaled(9, 100),
    "humidity_pct": scaled(10, 10),
    "internal_temperature_c": scaled(11, 10),
    "tilt_x_deg": scaled(12, 10),
    "tilt_y_deg": scaled(13, 10),
    "precipitation_conductivity_us_cm": scaled(14, 1),
    "precipitation_total_mm": lambda words: (words[15] + words[16] * 65536) / 1000,
}


class DlAtm41g2:
    """Decodes DL-ATM41G2 frames.

    Measures: absolute angle of the x and y axis to the horizontal, in steps of 0.1 degree: how the
    mast leans. A frame of a DL-ATM41 has the same length and header; it is told by its last words.
    Tilt angle: the x axis.
    Source: decentlab/decentlab-decoders, DL-ATM41G2.
    """

    model = "decentlab-dl-atm41g2"
    default_f_port = decentlab.F_PORT
    commands = decentlab.COMMANDS

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one uplink (port 1).

        Raises:
            InvalidPayload: Another port, version, length or flags, or a total of rain that
                never falls.
        """
        sample = decentlab.read_frame(self.model, payload, f_port, _LAYOUT, _WORDS)
        if "precipitation_total_mm" in sample.fields:
            # A hundred metres of rain: the words are the wind of a DL-ATM41.
            total_mm = sample.fields["precipitation_total_mm"]
            require_within("precipitation_total_mm", total_mm, 0.0, 100_000.0)
        return sample

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:
        """Encode a command.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        return decentlab.encode(self.model, command, params)


CODEC: SensorCodec = DlAtm41g2()
