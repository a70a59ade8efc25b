"""The threshold downlink of Milesight tilt sensors (ff 06)."""

import struct
from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors.codec import Downlink
from plumbline.codecs.sensors.milesight import AXES, CONDITIONS, F_PORT
from plumbline.codecs.sensors.parameters import choice, require_only, steps, whole
from plumbline.errors import UnsupportedCommand

_HALF_TURN_DEG = 180.0
_UINT16 = 0xFFFF


def set_threshold(params: Mapping[str, Any], tail: Mapping[str, int]) -> Downlink:
    """Encode a threshold of one axis.

    Args:
        params: ``axis`` (x, y or z; x where absent) and either ``threshold_deg`` (alarm beyond it
            in both directions) or ``min_deg`` and ``max_deg`` with ``condition``
            (``below_or_above`` where absent), and the model's two numbers.
        tail: Names and defaults of the model's two numbers.

    Raises:
        UnsupportedCommand: Unknown, missing or contradicting parameters.
    """
    require_only(params, "axis", "threshold_deg", "min_deg", "max_deg", "condition", *tail)
    axis = choice(params, "axis", AXES, "x")
    if "threshold_deg" in params:
        if {"min_deg", "max_deg", "condition"} & set(params):
            msg = "either threshold_deg, or min_deg and max_deg"
            raise UnsupportedCommand(msg)
        maximum = steps(params, "threshold_deg", 0.0, _HALF_TURN_DEG, per_unit=100)
        minimum, condition = -maximum, CONDITIONS["below_or_above"]
    else:
        minimum = steps(params, "min_deg", -_HALF_TURN_DEG, _HALF_TURN_DEG, per_unit=100)
        maximum = steps(params, "max_deg", -_HALF_TURN_DEG, _HALF_TURN_DEG, per_unit=100)
        condition = choice(params, "condition", CONDITIONS, "below_or_above")
    if minimum > maximum:
        msg = "min_deg is above max_deg"
        raise UnsupportedCommand(msg)
    first, second = (whole(params, name, 0, _UINT16, default) for name, default in tail.items())
    control = axis << 3 | condition
    body = struct.pack("<BhhHH", control, minimum, maximum, first, second)
    return Downlink(F_PORT, b"\xff\x06" + body)
