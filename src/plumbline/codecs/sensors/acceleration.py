"""Tilt from the acceleration that a sensor at rest feels."""

import math

REST_TOLERANCE_G = 0.15
"""How far the magnitude may be from 1 g: offset and scale of an uncalibrated accelerometer, and
noise."""


def tilt_from_vertical_deg(x_g: float, y_g: float, z_g: float) -> float | None:
    """Return the angle between the sensor's z axis and the vertical, 0 to 180 degrees.

    ``tilt = atan2(sqrt(x² + y²), z)``: 0 where z points along the force that holds the sensor up,
    90 where it lies on its side. It tells how far, not in which direction; a turn about the
    vertical is invisible.

    Uncertainty at rest: one step of the resolution ``r`` (in g) and an offset ``o`` of an axis
    shift the angle by about ``asin(r)`` and ``asin(o)``: 57 degrees a g. An offset of 40 mg,
    common without calibration, is 2.3 degrees; it stays the same, so changes are seen better
    than absolute angles. While the sensor is accelerated the formula is wrong by any amount.

    Returns:
        None where the magnitude is not 1 g within REST_TOLERANCE_G: the sensor was moving, and
        the direction of gravity is unknown. The reverse does not hold: a sideways acceleration
        of 0.4 g passes, and shows as 22 degrees.
    """
    if abs(math.hypot(x_g, y_g, z_g) - 1.0) > REST_TOLERANCE_G:
        return None
    return round(math.degrees(math.atan2(math.hypot(x_g, y_g), z_g)), 2)
