"""Commands that all Dragino LoRaWAN sensors share.

Source: Dragino LGT-92 user manual, "Downlink Payload"; that they are common to all its sensors:
"End Device AT Commands and Downlink Command". The device takes them on any port.
"""

from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors.codec import Downlink
from plumbline.codecs.sensors.parameters import require_only, unsupported, whole

COMMANDS = ("set_interval", "reboot")

_PORT = 2
_MAX_UINT24 = 0xFF_FFFF


def encode(model: str, command: str, params: Mapping[str, Any]) -> Downlink:
    """Encode ``set_interval`` (``interval_s``, 24 bits: TDC) or ``reboot``.

    Raises:
        UnsupportedCommand: Another verb or other parameters.
    """
    match command:
        case "set_interval":
            require_only(params, "interval_s")
            interval_s = whole(params, "interval_s", 1, _MAX_UINT24)
            return Downlink(_PORT, b"\x01" + interval_s.to_bytes(3, "big"))
        case "reboot":
            require_only(params)
            return Downlink(_PORT, b"\x04\xff")
    raise unsupported(model, command, COMMANDS)
