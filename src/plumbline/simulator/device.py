"""One simulated device: its mounting, its sensor, its thresholds, and what it measures when."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plumbline.domain.reading import Status
from plumbline.simulator.noise import normal
from plumbline.simulator.scenario import DAY_S, HOUR_S, Luck, Scenario
from plumbline.simulator.scenarios import kind_of
from plumbline.simulator.structures import STRUCTURES, Structure

SELF_TEST_S = 120.0
"""How long an angle must not change at all before the device reports ``fault``."""

LOW_BATTERY_PCT = 3
"""At or below this the device reports ``fault``."""

_WARMEST_S = 15.0 * HOUR_S  # UTC
_YEAR_S = 365.25 * DAY_S
_CROSS_AXIS = 0.3  # of the thermal movement is seen across the watched axis

_X_STREAM = 1
_Y_STREAM = 2
_TEMPERATURE_STREAM = 3
_RSSI_STREAM = 4
_SNR_STREAM = 5

DIALECTS = ("plain", "full", "milliseconds", "extra")
"""How devices of different makes write the same reading; see `payload.py`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a device measured and concluded at one moment; rounded as it transmits it.

    Attributes:
        tilt_angle_deg: About the watched axis, since the device was zeroed.
        tilt_x_deg, tilt_y_deg: About the watched and the cross axis, from the plumb line.
        tilt_z_deg: Between the device's own axis and the plumb line, 0 to 180.
        status: From the device's thresholds and self-test.
    """

    tilt_angle_deg: float
    tilt_x_deg: float
    tilt_y_deg: float
    tilt_z_deg: float
    status: Status
    battery_level_pct: int
    temperature_c: float
    rssi_dbm: int
    snr_db: float


@dataclass(frozen=True, slots=True)
class Device:
    """A device and everything that is true about it.

    Attributes:
        device_id: As registered.
        seed: 64 bits; with a time it fixes every random number.
        dialect: One of `DIALECTS`.
        mount_x_deg, mount_y_deg: Angle at which it was screwed on, degrees.
        noise_deg: Standard deviation of one reading, degrees.
        thermal_deg_per_k, lag_s: Tilt for a kelvin of the air, and how much later.
        mean_temperature_c, daily_amplitude_k: T = mean + amplitude * cos(2 pi (t - 15 h) / 24 h).
        battery_pct, battery_life_s: Level at the epoch, falling linearly by 100 in a life.
        rssi_dbm, snr_db: Typical radio conditions.
        first_sequence: Its counter at the start.
        zero_deg: Angle at which it was zeroed since then, degrees.
    """

    device_id: str
    seed: int
    structure: Structure
    scenario: Scenario
    dialect: str
    epoch_s: float
    mount_x_deg: float
    mount_y_deg: float
    noise_deg: float
    thermal_deg_per_k: float
    lag_s: float
    mean_temperature_c: float
    daily_amplitude_k: float
    battery_pct: float
    battery_life_s: float
    rssi_dbm: float
    snr_db: float
    first_sequence: int
    zero_deg: float = 0.0

    def is_silent(self, at_ms: int) -> bool:
        """Tell whether the device sends nothing at that time (Unix milliseconds)."""
        return self.scenario.is_silent(at_ms / 1000)

    def measure(self, at_ms: int) -> Sample:
        """Return what the device measures at that time (Unix milliseconds)."""
        at_s = at_ms / 1000
        since_s = self.scenario.stuck_since_s(at_s)
        angle, cross = self._angles_deg(at_ms if since_s is None else round(since_s * 1000))
        x, y = self.mount_x_deg + round(angle, 4), self.mount_y_deg + cross
        angle = round(round(angle, 4) - self.zero_deg, 4)
        battery = round(self._battery_pct(at_s))
        stuck = since_s is not None and at_s - since_s >= SELF_TEST_S
        return Sample(
            tilt_angle_deg=angle,
            tilt_x_deg=round(x, 4),
            tilt_y_deg=round(y, 4),
            tilt_z_deg=round(_from_plumb_line_deg(x, y), 4),
            status=Status.FAULT if stuck or battery <= LOW_BATTERY_PCT else self._judge(angle),
            battery_level_pct=battery,
            temperature_c=round(
                self._air_c(at_s) + 0.2 * normal(self.seed, at_ms, _TEMPERATURE_STREAM), 1
            ),
            rssi_dbm=round(self.rssi_dbm + 3.0 * normal(self.seed, at_ms, _RSSI_STREAM)),
            snr_db=round(self.snr_db + 1.5 * normal(self.seed, at_ms, _SNR_STREAM), 1),
        )

    def describe(self) -> dict[str, Any]:
        """Return what is true about the device, for the truth file."""
        return {
            "scenario": self.scenario.name,
            "parameters": self.scenario.parameters(),
            "structure": self.structure.name,
            "warning_deg": self.structure.warning_deg,
            "alarm_deg": self.structure.alarm_deg,
            "dialect": self.dialect,
            "seed": self.seed,
            "mount_x_deg": self.mount_x_deg,
            "mount_y_deg": self.mount_y_deg,
            "noise_deg": self.noise_deg,
            "thermal_deg_per_k": self.thermal_deg_per_k,
            "lag_s": self.lag_s,
            "mean_temperature_c": self.mean_temperature_c,
            "daily_amplitude_k": self.daily_amplitude_k,
            "battery_pct": self.battery_pct,
            "battery_life_s": self.battery_life_s,
        }

    def _angles_deg(self, at_ms: int) -> tuple[float, float]:
        at_s = at_ms / 1000
        scenario = self.scenario
        warmth_k = self._air_c(at_s - self.lag_s) - self.mean_temperature_c
        thermal = self.thermal_deg_per_k * scenario.thermal_factor() * warmth_k
        noise_deg = self.noise_deg * scenario.noise_factor()
        angle = (
            scenario.movement_deg(at_s)
            + thermal
            + noise_deg * normal(self.seed, at_ms, _X_STREAM)
            + scenario.outlier_deg(self.seed, at_s)
        )
        return angle, _CROSS_AXIS * thermal + noise_deg * normal(self.seed, at_ms, _Y_STREAM)

    def _air_c(self, at_s: float) -> float:
        phase = 2.0 * math.pi * (at_s - _WARMEST_S) / DAY_S
        return self.mean_temperature_c + self.daily_amplitude_k * math.cos(phase)

    def _battery_pct(self, at_s: float) -> float:
        level = self.scenario.battery_pct(at_s)
        if level is None:
            level = self.battery_pct - 100.0 * (at_s - self.epoch_s) / self.battery_life_s
        return min(100.0, max(1.0, level))

    def _judge(self, angle_deg: float) -> Status:
        if abs(angle_deg) >= self.structure.alarm_deg:
            return Status.ALARM
        if abs(angle_deg) >= self.structure.warning_deg:
            return Status.WARNING
        return Status.NORMAL


def make_fleet(
    device_ids: Sequence[str], scenario: str, seed: int, epoch: datetime
) -> list[Device]:
    """Make the devices; each depends on the seed, its id and, if ``mixed``, its place.

    Args:
        device_ids: In the fleet's order.
        scenario: One of `SCENARIO_NAMES`.
        seed: Any integer.
        epoch: The moment around which the scenarios' events happen; aware.
    """
    return [
        _make_device(device_id, index, scenario, seed, epoch.timestamp())
        for index, device_id in enumerate(device_ids)
    ]


def _make_device(device_id: str, index: int, scenario: str, seed: int, epoch_s: float) -> Device:
    rng = random.Random(f"{seed}:{device_id}")  # noqa: S311 - reproducible on purpose
    structure = STRUCTURES[int(rng.random() * len(STRUCTURES))]
    luck = Luck(rng, structure, epoch_s)
    return Device(
        device_id=device_id,
        seed=rng.getrandbits(64),
        structure=structure,
        dialect=DIALECTS[int(rng.random() * len(DIALECTS))],
        epoch_s=epoch_s,
        mount_x_deg=round(rng.gauss(0.0, 0.4), 4),
        mount_y_deg=round(rng.gauss(0.0, 0.4), 4),
        noise_deg=round(luck.uniform(*structure.noise_deg), 6),
        thermal_deg_per_k=round(luck.uniform(*structure.thermal_deg_per_k) * luck.sign(), 7),
        lag_s=round(luck.uniform(*structure.lag_h) * HOUR_S),
        mean_temperature_c=round(luck.uniform(2.0, 24.0), 1),
        daily_amplitude_k=round(luck.uniform(2.0, 7.0), 1),
        battery_pct=round(luck.uniform(35.0, 100.0), 1),
        battery_life_s=round(luck.uniform(2.0, 8.0) * _YEAR_S),
        rssi_dbm=round(luck.uniform(-112.0, -65.0)),
        snr_db=round(luck.uniform(-6.0, 11.0), 1),
        first_sequence=int(rng.random() * 50_000),
        # Drawn last: a scenario's own draws move nothing else.
        scenario=kind_of(scenario, index).draw(luck),
    )


def _from_plumb_line_deg(x_deg: float, y_deg: float) -> float:
    """Return the inclination of an axis tilted by x and y: acos(cos x cos y), degrees."""
    return math.degrees(math.acos(math.cos(math.radians(x_deg)) * math.cos(math.radians(y_deg))))
