"""What the simulated devices are mounted on, with the magnitudes that belong to it.

Thresholds of building and wall: EN 1997-1 Annex H (2): a relative rotation of 1/500 (0.115 degree)
is acceptable for many structures, about 1/150 (0.382 degree) is likely to be an ultimate limit
state. The others are stiffer or more slender and have the tighter or wider limits that owners set.

Noise of one reading: a MEMS inclinometer resolves 0.0035 degree at 10 Hz bandwidth (Murata
SCA100T); a reading averages one to some ten seconds, which leaves 0.0004 to 0.002 degree.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Structure:
    """One kind of structure; pairs are the range from which each device draws its own value.

    Attributes:
        name: For the truth file.
        warning_deg, alarm_deg: Change of tilt at which a device reports it, degrees.
        thermal_deg_per_k: Tilt per kelvin of the air, after the lag.
        lag_h: How long the structure's temperature follows the air's, hours.
        noise_deg: Standard deviation of one reading, degrees.
    """

    name: str
    warning_deg: float
    alarm_deg: float
    thermal_deg_per_k: tuple[float, float]
    lag_h: tuple[float, float]
    noise_deg: tuple[float, float]


STRUCTURES = (
    Structure("building", 0.115, 0.382, (0.0003, 0.0012), (1.0, 3.0), (0.0004, 0.0012)),
    Structure("wall", 0.200, 0.382, (0.0005, 0.0020), (1.0, 3.0), (0.0006, 0.0015)),
    Structure("tower", 0.250, 0.500, (0.0020, 0.0080), (0.3, 1.0), (0.0010, 0.0020)),
    Structure("bridge", 0.060, 0.120, (0.0005, 0.0020), (1.0, 4.0), (0.0008, 0.0020)),
    Structure("dam", 0.030, 0.060, (0.0001, 0.0008), (3.0, 6.0), (0.0004, 0.0008)),
)
