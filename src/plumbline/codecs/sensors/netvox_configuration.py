"""The configuration command of Netvox sensors (port 7, command 01).

One frame sets the interval and all thresholds at once, so what is not given goes back to the
value as delivered.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from plumbline.codecs.sensors.parameters import require_only, steps, unsupported, whole

COMMANDS = ("set_interval", "set_threshold")
CONFIGURE = 0x01

_MAX_INTERVAL_S = 65_535
_MAX_ANGLE_DEG = 180.0
_DEFAULT_ANGLE_DEG = 5.0
_DEFAULT_BATTERY_V = 0.1
_DEFAULT_TEMPERATURE_C = 1.0
_MAX_TENTHS = 25.5


class Configuration(NamedTuple):
    """What the frame holds, in the device's steps; temperature 0 where it has no thermometer."""

    interval_s: int
    battery_change: int
    angle_change: int
    temperature_change: int


def read_parameters(
    model: str,
    command: str,
    params: Mapping[str, Any],
    *,
    steps_per_degree: int,
    thermometer: bool = False,
) -> Configuration:
    """Read the parameters of ``set_interval`` or ``set_threshold``.

    ``set_interval``: ``interval_s`` (1 to 65,535), and where they are not to be as delivered
    ``angle_change_deg``, ``battery_change_v``, ``temperature_change_c``. ``set_threshold``: the
    same, with ``threshold_deg`` for the change of angle that is reported; ``interval_s`` must be
    said again.

    Raises:
        UnsupportedCommand: Another verb, or unknown, missing or impossible parameters.
    """
    if command not in COMMANDS:
        raise unsupported(model, command, COMMANDS)
    angle = "angle_change_deg" if command == "set_interval" else "threshold_deg"
    optional = ("temperature_change_c",) if thermometer else ()
    require_only(params, "interval_s", angle, "battery_change_v", *optional)
    return Configuration(
        interval_s=whole(params, "interval_s", 1, _MAX_INTERVAL_S),
        battery_change=steps(
            params,
            "battery_change_v",
            _DEFAULT_BATTERY_V,
            _MAX_TENTHS,
            per_unit=10,
            default=_DEFAULT_BATTERY_V,
        ),
        angle_change=steps(
            params,
            angle,
            1 / steps_per_degree,
            _MAX_ANGLE_DEG,
            per_unit=steps_per_degree,
            default=_DEFAULT_ANGLE_DEG if command == "set_interval" else None,
        ),
        temperature_change=steps(
            params,
            "temperature_change_c",
            0.1,
            _MAX_TENTHS,
            per_unit=10,
            default=_DEFAULT_TEMPERATURE_C,
        )
        if thermometer
        else 0,
    )
