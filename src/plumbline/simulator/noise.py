"""Random numbers that are functions of a seed and a time, so that any moment can be recomputed."""

import math

_MASK = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: splitmix64's increment
_TWO_PI = 2.0 * math.pi


def _hash(seed: int, tick: int, stream: int) -> int:
    """Mix three integers to 64 bits.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014
    (splitmix64's finaliser).
    """
    value = (seed + tick * _GOLDEN + stream * 0xD1342543DE82EF95) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def uniform(seed: int, tick: int, stream: int) -> float:
    """Return a number in [0, 1) that depends on the three integers only."""
    return (_hash(seed, tick, stream) >> 11) / 2**53


def normal(seed: int, tick: int, stream: int) -> float:
    """Return a standard normal number that depends on the three integers only.

    Source: Box and Muller 1958; 32 bits each for radius and angle, so at most 6.7 in magnitude.
    """
    value = _hash(seed, tick, stream)
    radius = math.sqrt(-2.0 * math.log(((value >> 32) + 1) / 2**32))
    return radius * math.cos(_TWO_PI * (value & 0xFFFFFFFF) / 2**32)
