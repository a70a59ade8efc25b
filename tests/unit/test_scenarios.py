"""Every scenario's formula, the device around it, and what it sends."""

import json
import math
import random
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbline.codecs.telemetry import decode_message
from plumbline.domain.reading import Reading, Status
from plumbline.simulator.device import DIALECTS, Device, make_fleet
from plumbline.simulator.movements import Accelerating, Creep, Step
from plumbline.simulator.noise import normal, uniform
from plumbline.simulator.payload import encode, moment, reading_members
from plumbline.simulator.scenarios import SCENARIO_NAMES
from plumbline.simulator.troubles import Battery, Dropout, Noisy, Spike, Stuck

EPOCH = datetime(2026, 1, 18, 10, 30, tzinfo=UTC)
EPOCH_S = EPOCH.timestamp()
EPOCH_MS = round(EPOCH_S * 1000)
DAY_MS = 86_400_000


def fleet(scenario: str, devices: int = 20, seed: int = 7) -> list[Device]:
    return make_fleet([f"sim-{n:04d}" for n in range(devices)], scenario, seed, EPOCH)


def angles(device: Device, times_ms: range) -> list[float]:
    return [device.measure(at_ms).tilt_angle_deg for at_ms in times_ms]


# --- reproducible -------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIO_NAMES)
def test_same_seed_same_bytes_in_any_order(scenario: str) -> None:
    """A reading depends on seed, device and time only, not on what was asked before."""
    times = [EPOCH_MS + n * 5000 for n in range(20)]
    forwards = [encode(reading_members(d, at, 3)) for d in fleet(scenario) for at in times]
    shuffled = list(enumerate((d, at) for d in fleet(scenario) for at in times))
    random.Random(1).shuffle(shuffled)
    again = {n: encode(reading_members(d, at, 3)) for n, (d, at) in shuffled}
    assert [again[n] for n in range(len(forwards))] == forwards


def test_another_seed_gives_other_devices() -> None:
    assert fleet("steady", seed=1) != fleet("steady", seed=2)


def test_a_device_does_not_depend_on_its_fleet() -> None:
    [alone] = make_fleet(["sim-0003"], "creep", 7, EPOCH)
    assert alone == fleet("creep")[3]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**44), st.integers(0, 400))
def test_noise_is_in_its_range(seed: int, tick: int, stream: int) -> None:
    assert 0.0 <= uniform(seed, tick, stream) < 1.0
    assert abs(normal(seed, tick, stream)) < 6.7


def test_noise_is_normal_and_uncorrelated() -> None:
    values = [normal(42, tick, 1) for tick in range(20_000)]
    others = [normal(42, tick, 2) for tick in range(20_000)]
    assert statistics.fmean(values) == pytest.approx(0.0, abs=0.03)
    assert statistics.pstdev(values) == pytest.approx(1.0, abs=0.02)
    assert abs(statistics.correlation(values, others)) < 0.03
    assert abs(statistics.correlation(values[1:], values[:-1])) < 0.03


# --- formulas -----------------------------------------------------------------------------------


def test_creep_moves_at_its_rate() -> None:
    creep = Creep(rate_deg_per_day=-0.012, onset_s=EPOCH_S)
    assert creep.movement_deg(EPOCH_S - 1.0) == 0.0
    assert creep.movement_deg(EPOCH_S + 86_400.0) == pytest.approx(-0.012)
    assert creep.movement_deg(EPOCH_S + 43_200.0) == pytest.approx(-0.006)


def test_creep_can_be_measured() -> None:
    """The slope of what the devices report is the rate in the truth."""
    for device in fleet("creep", devices=5):
        assert isinstance(device.scenario, Creep)
        days = range(EPOCH_MS, EPOCH_MS + 40 * DAY_MS, DAY_MS)  # the same hour: no daily cycle
        slope = statistics.linear_regression(list(range(40)), angles(device, days)).slope
        assert slope == pytest.approx(device.scenario.rate_deg_per_day, abs=1e-4)


def test_step_happens_once() -> None:
    step = Step(size_deg=0.3, onset_s=EPOCH_S)
    assert [step.movement_deg(EPOCH_S + s) for s in (-0.001, 0.0, 9e6)] == [0.0, 0.3, 0.3]


def test_thermal_cycle_follows_the_air_after_the_lag() -> None:
    for device in fleet("thermal", devices=5):
        quiet = [
            statistics.fmean(angles(device, range(minute * 60_000, 40 * DAY_MS, DAY_MS)))
            for minute in range(0, 1440, 10)
        ]
        extreme = max(
            range(144), key=lambda n: quiet[n] * math.copysign(1, device.thermal_deg_per_k)
        )
        expected_min = (15 * 60 + device.lag_s / 60) % 1440
        assert abs(extreme * 10 - expected_min) <= 60
        amplitude = (max(quiet) - min(quiet)) / 2
        factor = device.scenario.thermal_factor()
        expected = abs(device.thermal_deg_per_k) * factor * device.daily_amplitude_k
        assert amplitude == pytest.approx(expected, rel=0.1, abs=4e-4)


def test_accelerating_follows_the_inverse_velocity_law() -> None:
    """1/v falls linearly and is zero at the time of failure (Fukuzono, Voight with alpha = 2)."""
    law = Accelerating(a_per_deg=8.0, onset_s=0.0, failure_s=1e6, resting_deg=40.0)
    assert law.movement_deg(-1.0) == 0.0
    for at_s in (1e3, 5e5, 9e5, 9.99e5):
        velocity = (law.movement_deg(at_s + 0.5) - law.movement_deg(at_s - 0.5)) / 1.0
        assert 1.0 / velocity == pytest.approx(8.0 * (1e6 - at_s), rel=1e-3)
    assert law.movement_deg(1e6) == law.movement_deg(2e6) == 40.0
    assert law.movement_deg(1e6 - 1.0) < 2.0


def test_stuck_repeats_one_value_and_becomes_a_fault() -> None:
    for device in fleet("stuck"):
        assert isinstance(device.scenario, Stuck)
        onset_ms = math.ceil(device.scenario.onset_s * 1000)
        before = angles(device, range(onset_ms - 60_000, onset_ms - 1000, 1000))
        after = angles(device, range(onset_ms, onset_ms + 600_000, 1000))
        assert len(set(before)) > 5
        assert len(set(after)) == 1
        assert device.measure(onset_ms + 60_000).status is not Status.FAULT
        assert device.measure(onset_ms + 120_001).status is Status.FAULT


def test_spikes_come_with_their_probability_and_size() -> None:
    for device in fleet("spike", devices=5):
        spike = device.scenario
        assert isinstance(spike, Spike)
        outliers = [spike.outlier_deg(device.seed, EPOCH_S + n) for n in range(20_000)]
        sizes = [abs(size) for size in outliers if size]
        assert len(sizes) / 20_000 == pytest.approx(spike.probability, rel=0.25)
        assert 0.2 * spike.largest_deg <= min(sizes) <= max(sizes) <= spike.largest_deg
        assert min(outliers) < 0.0 < max(outliers)


@pytest.mark.parametrize("scenario", ["steady", "noisy"])
def test_noise_has_its_standard_deviation(scenario: str) -> None:
    for device in fleet(scenario, devices=5):
        times = range(EPOCH_MS, EPOCH_MS + 60_000, 20)  # a minute: nothing else moves
        factor = device.scenario.factor if isinstance(device.scenario, Noisy) else 1.0
        measured = statistics.pstdev(angles(device, times))
        assert measured == pytest.approx(device.noise_deg * factor, rel=0.08)


def test_dropout_is_silent_for_its_share() -> None:
    for device in fleet("dropout", devices=5):
        assert isinstance(device.scenario, Dropout)
        period_ms = device.scenario.period_s * 1000
        silent = [device.is_silent(EPOCH_MS + int(n * period_ms / 50)) for n in range(5000)]
        assert statistics.fmean(silent) == pytest.approx(device.scenario.share, abs=0.03)


def test_no_interval_hides_in_the_silence() -> None:
    """Also a device that measures once a period is heard."""
    for device in fleet("dropout", devices=5):
        assert isinstance(device.scenario, Dropout)
        period_ms = round(device.scenario.period_s * 1000)
        assert not all(device.is_silent(EPOCH_MS + n * period_ms) for n in range(50))


def test_battery_falls_to_a_fault_and_is_replaced() -> None:
    battery = Battery(life_s=100_000.0, installed_s=EPOCH_S)
    assert battery.battery_pct(EPOCH_S) == 100.0
    assert battery.battery_pct(EPOCH_S + 25_000.0) == pytest.approx(75.0)
    assert battery.battery_pct(EPOCH_S + 100_001.0) == pytest.approx(100.0, abs=0.01)
    for device in fleet("battery", devices=5):
        assert isinstance(device.scenario, Battery)
        life_ms = round(device.scenario.life_s * 1000)
        samples = [device.measure(EPOCH_MS + n * life_ms // 200) for n in range(200)]
        assert {s.status is Status.FAULT for s in samples} == {True, False}
        for sample in samples:
            assert (sample.battery_level_pct <= 3) == (sample.status is Status.FAULT)


# --- devices and fleets -------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", sorted(set(SCENARIO_NAMES) - {"stuck", "battery", "mixed"}))
def test_status_is_what_the_thresholds_say(scenario: str) -> None:
    seen = set()
    for device in fleet(scenario):
        for hour in range(-24, 240, 7):
            sample = device.measure(EPOCH_MS + hour * 3_600_000)
            size = abs(sample.tilt_angle_deg)
            expected = Status.NORMAL
            if size >= device.structure.warning_deg:
                expected = Status.WARNING
            if size >= device.structure.alarm_deg:
                expected = Status.ALARM
            assert sample.status is expected
            seen.add(expected)
    assert Status.NORMAL in seen
    if scenario == "accelerating":
        assert seen == {Status.NORMAL, Status.WARNING, Status.ALARM}


def test_a_mixed_fleet_of_twenty_shows_everything() -> None:
    names = Counter(device.scenario.name for device in fleet("mixed", devices=20))
    often = {"steady": 8, "thermal": 3, "creep": 2}
    assert names == {name: often.get(name, 1) for name in SCENARIO_NAMES if name != "mixed"}
    assert {device.dialect for device in fleet("mixed", devices=60)} == set(DIALECTS)


def test_most_of_a_mixed_fleet_is_well() -> None:
    statuses = [device.measure(EPOCH_MS).status for device in fleet("mixed", devices=200)]
    assert statuses.count(Status.NORMAL) > 150
    assert set(statuses) == set(Status)


@pytest.mark.parametrize("scenario", SCENARIO_NAMES)
def test_everything_sent_is_a_good_reading_with_these_values(scenario: str) -> None:
    """The system's decoder reads from every dialect what the device meant."""
    for device in fleet(scenario):
        for index in range(10):
            at_ms = EPOCH_MS + index * 61_234
            members = reading_members(device, at_ms, index)
            topic = f"tilt/{device.device_id}/telemetry"
            received_at = moment(at_ms) + timedelta(seconds=1)
            [reading] = decode_message(topic, encode(members), received_at)
            assert isinstance(reading, Reading), reading
            sample = device.measure(at_ms)
            assert reading.device_id == device.device_id
            assert reading.observed_at == moment(at_ms)
            assert reading.tilt_angle_deg == sample.tilt_angle_deg
            assert reading.status is sample.status
            assert reading.battery_level_pct == sample.battery_level_pct
            if device.dialect == "full":
                assert reading.tilt_z_deg == sample.tilt_z_deg
                assert reading.sequence == device.first_sequence + index
            assert bool(reading.extra) == (device.dialect == "extra")


def test_the_truth_about_a_device_is_plain_json() -> None:
    for device in fleet("mixed"):
        described = device.describe()
        assert json.loads(json.dumps(described)) == described
        assert described["parameters"] == device.scenario.parameters()
