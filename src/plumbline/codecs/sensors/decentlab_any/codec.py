"""Commands to any Decentlab sensor."""

from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors import decentlab
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.frame import require_frame
from plumbline.codecs.sensors.sample import Sample


class DecentlabAny:
    """Reads and writes the command frames that all Decentlab sensors share.

    Measures: nothing. What an uplink means depends on the model, so uplinks are refused; give the
    device its own model.
    Tilt angle: none.
    Source: TheThingsNetwork/lorawan-devices, vendor/decentlab/dl-downlink-codec.js.
    """

    model = "decentlab-any"
    default_f_port = decentlab.F_PORT
    commands = decentlab.COMMANDS

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one command frame (port 1).

        Raises:
            InvalidPayload: Another port or length, a wrong checksum, or an unknown command.
        """
        require_frame(payload, f_port, decentlab.F_PORT)
        fields = decentlab.read_command(payload)
        return Sample(model=self.model, fields=fields, no_tilt="a command")

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:
        """Encode a command.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        return decentlab.encode(self.model, command, params)


CODEC: SensorCodec = DecentlabAny()
