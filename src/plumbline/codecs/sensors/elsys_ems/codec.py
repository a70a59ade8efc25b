"""ELSYS EMS."""

from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import elsys
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.sample import Sample


class ElsysEms:
    """Decodes EMS frames.

    Measures: acceleration of three axes, 63 counts a g.
    Tilt angle: computed, the angle between the z axis and the vertical,
    ``atan2(sqrt(x² + y²), z)``, 0 to 180 degrees. One count is 0.9 degree; an offset of 40 mg,
    common in such sensors, another 2.3 degrees, always in the same direction. There is none while
    the magnitude is not 1 g: the sensor was moving.
    Source: TheThingsNetwork/lorawan-devices, vendor/elsys/elsys.js and ems-codec.yaml.
    """

    model = "elsys-ems"
    default_f_port = elsys.DEFAULT_F_PORT
    commands = elsys.COMMANDS

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one uplink (any port).

        Raises:
            InvalidPayload: An unknown or truncated tag, or a value that no sensor measures.
        """
        return elsys.read_frame(self.model, payload, f_port)

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:
        """Encode a command.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        return elsys.encode(self.model, command, params)


CODEC: SensorCodec = ElsysEms()
