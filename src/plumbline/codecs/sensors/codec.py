"""What a sensor codec is, whoever wrote it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from plumbline.codecs.sensors.sample import Sample


@dataclass(frozen=True, slots=True)
class Downlink:
    """Bytes for a device.

    Attributes:
        f_port: LoRaWAN port, 1 to 223.
        payload: The vendor's bytes.
        confirmed: Whether the device should acknowledge. A command that restarts the device at
            once is sent unconfirmed where the vendor says so: the network would repeat it.
    """

    f_port: int
    payload: bytes
    confirmed: bool = True


class SensorCodec(Protocol):
    """Bytes of one sensor model to a sample, and commands to its bytes; no state, no clock."""

    @property
    def model(self) -> str:
        """Its name in the device registry, ``vendor-model``, lower case."""
        ...

    @property
    def default_f_port(self) -> int:
        """The port of its measurements, as delivered."""
        ...

    @property
    def commands(self) -> Sequence[str]:
        """The verbs that ``encode`` knows."""
        ...

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one uplink.

        Raises:
            InvalidPayload: Not a whole frame of this model and nothing else.
        """
        ...

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:
        """Encode one command.

        Raises:
            UnsupportedCommand: The device has no such command, or not with these parameters.
        """
        ...
