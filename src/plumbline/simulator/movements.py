"""Scenarios of the structure: steady, creep, step, thermal, accelerating."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

from plumbline.simulator.scenario import DAY_S, MINUTE_S, Luck, Scenario


@dataclass(frozen=True, slots=True)
class Steady(Scenario):
    """Nothing moves: movement(t) = 0."""

    name: ClassVar[str] = "steady"


@dataclass(frozen=True, slots=True)
class Creep(Scenario):
    """A constant rate: movement(t) = rate * (t - onset) / 86400 for t > onset, in degrees.

    Attributes:
        rate_deg_per_day: 0.002 to 0.03 either way.
        onset_s: 2 to 30 days before the epoch.
    """

    name: ClassVar[str] = "creep"
    rate_deg_per_day: float
    onset_s: float

    @classmethod
    def draw(cls, luck: Luck) -> Self:
        """Draw the rate evenly in its logarithm, and its sign."""
        rate = luck.log_uniform(0.002, 0.03) * luck.sign()
        return cls(round(rate, 6), round(luck.epoch_s - luck.uniform(2.0, 30.0) * DAY_S, 3))

    def movement_deg(self, at_s: float) -> float:
        """Return the movement, degrees."""
        return self.rate_deg_per_day * max(0.0, at_s - self.onset_s) / DAY_S


@dataclass(frozen=True, slots=True)
class Step(Scenario):
    """A sudden displacement: movement(t) = size for t >= onset, else 0, in degrees.

    Attributes:
        size_deg: 0.5 to 5 times the structure's warning threshold, either way.
        onset_s: Within 10 minutes after the epoch.
    """

    name: ClassVar[str] = "step"
    size_deg: float
    onset_s: float

    @classmethod
    def draw(cls, luck: Luck) -> Self:
        """Draw size and time."""
        size = luck.structure.warning_deg * luck.log_uniform(0.5, 5.0) * luck.sign()
        return cls(round(size, 4), round(luck.epoch_s + luck.uniform(0.0, 10.0) * MINUTE_S, 3))

    def movement_deg(self, at_s: float) -> float:
        """Return the movement, degrees."""
        return self.size_deg if at_s >= self.onset_s else 0.0


@dataclass(frozen=True, slots=True)
class Thermal(Scenario):
    """A pronounced daily cycle: tilt = factor * k * (T(t - lag) - T_mean).

    T has a period of 24 hours; the tilt follows it by the device's lag.

    Attributes:
        factor: 2 to 4, of the structure's usual k.
    """

    name: ClassVar[str] = "thermal"
    factor: float

    @classmethod
    def draw(cls, luck: Luck) -> Self:
        """Draw the factor."""
        return cls(round(luck.uniform(2.0, 4.0), 3))

    def thermal_factor(self) -> float:
        """Return the factor."""
        return self.factor


@dataclass(frozen=True, slots=True)
class Accelerating(Scenario):
    """Tertiary creep towards failure: the inverse velocity falls linearly to zero.

    1 / v(t) = A * (t_f - t), so movement(t) = (1/A) * ln((t_f - onset) / (t_f - t)), in degrees,
    with v in degrees per second and A in 1/degree. Within the last second before ``t_f`` and
    ever after, the device lies where it fell.

    Source: Fukuzono 1985 ("A new method for predicting the failure time of a slope"); Voight 1988
    (Nature 332, "A method for prediction of volcanic eruptions"): d2x/dt2 = A * (dx/dt)**alpha,
    here with alpha = 2.

    Attributes:
        a_per_deg: A; 4 to 15 per degree.
        onset_s: Start of the acceleration, 2 to 20 days before the epoch.
        failure_s: t_f; 10 minutes to 3 days after the epoch.
        resting_deg: Angle after the failure.
    """

    name: ClassVar[str] = "accelerating"
    a_per_deg: float
    onset_s: float
    failure_s: float
    resting_deg: float

    @classmethod
    def draw(cls, luck: Luck) -> Self:
        """Draw times and rate; the time to failure evenly in its logarithm."""
        return cls(
            round(luck.uniform(4.0, 15.0), 3),
            round(luck.epoch_s - luck.uniform(2.0, 20.0) * DAY_S, 3),
            round(luck.epoch_s + luck.log_uniform(10.0 * MINUTE_S, 3.0 * DAY_S), 3),
            round(luck.uniform(15.0, 85.0), 2),
        )

    def movement_deg(self, at_s: float) -> float:
        """Return the movement, degrees."""
        if at_s <= self.onset_s:
            return 0.0
        left_s = self.failure_s - at_s
        if left_s < 1.0:
            return self.resting_deg
        return math.log((self.failure_s - self.onset_s) / left_s) / self.a_per_deg
