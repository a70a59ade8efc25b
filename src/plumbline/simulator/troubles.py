"""Scenarios of the device: stuck, spike, noisy, dropout, battery."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

from plumbline.simulator.noise import uniform
from plumbline.simulator.scenario import HOUR_S, MINUTE_S, Luck, Scenario

_SPIKE_STREAM = 101
_SPIKE_SIZE_STREAM = 102
_SILENCE_STREAM = 103


@dataclass(frozen=True, slots=True)
class Stuck(Scenario):
    """The sensor hangs: theta(t) = theta(onset), noise included, for t >= onset.

    The device's self-test notices after a while, and it reports ``fault``.

    Attributes:
        onset_s: From 30 minutes before to 5 minutes after the epoch.
    """

    name: ClassVar[str] = "stuck"
    onset_s: float

    @classmethod
    def draw(cls, luck: Luck) -> Self:
        """Draw the time."""
        return cls(round(luck.epoch_s + luck.uniform(-30.0, 5.0) * MINUTE_S, 3))

    def stuck_since_s(self, at_s: float) -> float | None:
        """Return the onset, once it has passed."""
        return self.onset_s if at_s >= self.onset_s else None


@dataclass(frozen=True, slots=True)
class Spike(Scenario):
    """Single wrong readings: with the given probability outlier(t) = size, else 0, in degrees.

    The size of each is drawn evenly from 0.2 to 1 times ``largest_deg``, either way.

    Attributes:
        probability: 0.01 to 0.05 a reading.
        largest_deg: 1 to 20 degrees.
    """

    name: ClassVar[str] = "spike"
    probability: float
    largest_deg: float

    @classmethod
    def draw(cls, luck: Luck) -> Self:
        """Draw probability and size."""
        return cls(round(luck.uniform(0.01, 0.05), 4), round(luck.log_uniform(1.0, 20.0), 2))

    def outlier_deg(self, seed: int, at_s: float) -> float:
        """Return the spike at that time, degrees."""
        tick = round(at_s * 1000)
        if uniform(seed, tick, _SPIKE_STREAM) >= self.probability:
            return 0.0
        position = 2.0 * uniform(seed, tick, _SPIKE_SIZE_STREAM) - 1.0
        return self.largest_deg * math.copysign(0.2 + 0.8 * abs(position), position)


@dataclass(frozen=True, slots=True)
class Noisy(Scenario):
    """A loose mount or traffic beside it: the noise's standard deviation is factor * sigma.

    Attributes:
        factor: 8 to 40.
    """

    name: ClassVar[str] = "noisy"
    factor: float

    @classmethod
    def draw(cls, luck: Luck) -> Self:
        """Draw the factor."""
        return cls(round(luck.log_uniform(8.0, 40.0), 2))

    def noise_factor(self) -> float:
        """Return the factor."""
        return self.factor


@dataclass(frozen=True, slots=True)
class Dropout(Scenario):
    """A radio link that comes and goes: silent once in every period, at a random place in it.

    In period number k = floor(t / period) the silence lasts ``share * period`` seconds and begins
    ``u(k) * (1 - share) * period`` after the period's begin, u(k) even in [0, 1).

    Attributes:
        period_s: 2 minutes to 2 hours.
        share: 0.1 to 0.4 of the time is silent.
        silence_seed: Fixes u.
    """

    name: ClassVar[str] = "dropout"
    period_s: float
    share: float
    silence_seed: int

    @classmethod
    def draw(cls, luck: Luck) -> Self:
        """Draw period, share and seed."""
        return cls(
            round(luck.log_uniform(2.0 * MINUTE_S, 2.0 * HOUR_S), 3),
            round(luck.uniform(0.1, 0.4), 3),
            luck.rng.getrandbits(32),
        )

    def is_silent(self, at_s: float) -> bool:
        """Tell whether the link is down."""
        number, into_s = divmod(at_s, self.period_s)
        begin = (1.0 - self.share) * uniform(self.silence_seed, int(number), _SILENCE_STREAM)
        return begin <= into_s / self.period_s < begin + self.share


@dataclass(frozen=True, slots=True)
class Battery(Scenario):
    """A battery near its end: level(t) = 100 * (1 - ((t - installed) mod life) / life) per cent.

    At the end somebody puts a new one in. Below the device's limit the status is ``fault``.

    Attributes:
        life_s: 1 to 48 hours.
        installed_s: So that 1 to 25 per cent are left at the epoch.
    """

    name: ClassVar[str] = "battery"
    life_s: float
    installed_s: float

    @classmethod
    def draw(cls, luck: Luck) -> Self:
        """Draw life and remainder."""
        life_s = round(luck.log_uniform(1.0 * HOUR_S, 48.0 * HOUR_S), 3)
        return cls(life_s, round(luck.epoch_s - life_s * (1.0 - luck.uniform(0.01, 0.25)), 3))

    def battery_pct(self, at_s: float) -> float:
        """Return the level, per cent."""
        return 100.0 * (1.0 - ((at_s - self.installed_s) % self.life_s) / self.life_s)
