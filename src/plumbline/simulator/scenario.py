"""What happens to a simulated structure, its sensor or its radio: pure functions of time.

Times are Unix seconds. Each scenario draws its parameters once, from the device's own random
numbers, and is known completely afterwards; the truth file records them. A tilt angle is

    theta(t) = movement(t) + k * thermal_factor * (T(t - lag) - T_mean)
               + sigma * noise_factor * n(t) + outlier(t)

in degrees, where T is the air temperature, n standard normal noise, and k, lag and sigma belong to
the device (`device.py`). A scenario changes one or two of these terms.
"""

import math
import random
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from plumbline.simulator.structures import Structure

DAY_S = 86_400.0
HOUR_S = 3_600.0
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Luck:
    """What a device's parameters are drawn from.

    Attributes:
        rng: The device's own random numbers.
        structure: What it is mounted on.
        epoch_s: The moment around which things happen, Unix seconds; "now" at the first start.
    """

    rng: random.Random
    structure: Structure
    epoch_s: float

    def uniform(self, low: float, high: float) -> float:
        """Draw evenly."""
        return low + (high - low) * self.rng.random()

    def log_uniform(self, low: float, high: float) -> float:
        """Draw evenly in the logarithm."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def sign(self) -> float:
        """Draw -1 or 1."""
        return math.copysign(1.0, self.rng.random() - 0.5)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Base: nothing happens."""

    name: ClassVar[str]

    @classmethod
    def draw(cls, luck: Luck) -> Self:  # noqa: ARG003 - the base has no parameters to draw
        """Draw the parameters for one device."""
        return cls()

    def movement_deg(self, at_s: float) -> float:  # noqa: ARG002 - nothing moves
        """Return the structure's movement, degrees."""
        return 0.0

    def thermal_factor(self) -> float:
        """Return how much stronger than usual the structure follows the temperature."""
        return 1.0

    def noise_factor(self) -> float:
        """Return how much noisier than usual the sensor is."""
        return 1.0

    def outlier_deg(self, seed: int, at_s: float) -> float:  # noqa: ARG002 - none here
        """Return what this single reading is off by, degrees."""
        return 0.0

    def stuck_since_s(self, at_s: float) -> float | None:  # noqa: ARG002 - never stuck here
        """Return since when the angle no longer changes, or None."""
        return None

    def is_silent(self, at_s: float) -> bool:  # noqa: ARG002 - never silent here
        """Tell whether the device sends nothing at that time."""
        return False

    def battery_pct(self, at_s: float) -> float | None:  # noqa: ARG002 - as the device's battery
        """Return the battery level, per cent, where the scenario decides it."""
        return None

    def parameters(self) -> dict[str, Any]:
        """Return the parameters by name, as the truth file has them."""
        return asdict(self)
