"""What the soak calls growth, and what it does not."""

import csv
import math
import random
from pathlib import Path

import pytest
from proofs.soak.drift import Limit, drifts, slope
from proofs.soak.plot import plot
from proofs.soak.run import Load, judge_growth
from proofs.soak.sampler import Samples

_LIMITS = {"own_mb": Limit(2, 12, "MB"), "redis.own_mb": Limit(1, 1, "MB")}


def test_the_slope_is_that_of_the_line_whatever_a_quarter_of_the_samples_says() -> None:
    rng = random.Random(1)
    times = [n / 100 for n in range(1000)]
    values = [3 * at + 7 + rng.gauss(0, 0.1) for at in times]
    for index in rng.sample(range(1000), 250):
        values[index] += 1000
    assert slope(times, values) == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize(
    "values",
    [[5.0] * 300, [math.sin(n / 7) for n in range(300)], [float(n == 9) for n in range(300)]],
)
def test_what_goes_up_and_down_does_not_grow(values: list[float]) -> None:
    assert slope([n / 100 for n in range(300)], values) == pytest.approx(0, abs=0.1)


def test_one_sample_has_no_slope() -> None:
    assert slope([1.0], [4.0]) == 0


def test_a_series_is_held_against_its_own_limit_before_that_of_its_kind() -> None:
    hours = [n / 10 for n in range(41)]
    growing = [6.0 * at for at in hours]
    series = {"portal.own_mb": growing, "redis.own_mb": growing, "portal.rss_mb": growing}
    portal, redis = drifts(hours, series, _LIMITS)
    assert (portal.series, redis.series) == ("portal.own_mb", "redis.own_mb")
    # Four hours: 2 MB an hour and once 12 are 5 an hour; 1 and 1 are 1.25.
    assert (portal.allowed_per_hour, redis.allowed_per_hour) == (5, 1.25)
    assert portal.exceeded
    assert portal.per_hour == pytest.approx(6)
    assert not drifts(hours, {"portal.own_mb": [4.9 * at for at in hours]}, _LIMITS)[0].exceeded


def test_the_warm_up_is_not_judged_and_the_pace_makes_hours() -> None:
    samples = Samples()
    for second in range(401):
        samples.add(second, {"pipeline.own_mb": min(second, 100.0), "pipeline.files": second / 36})
    grown = {one.series: one for one in judge_growth(samples, _load(pace=10))}
    assert grown["pipeline.own_mb"].per_hour == 0
    # A file each 36 s of ten-fold load is ten an hour.
    assert grown["pipeline.files"].per_hour == pytest.approx(10)
    assert grown["pipeline.files"].exceeded


def test_a_series_that_comes_later_was_nothing_before(tmp_path: Path) -> None:
    samples = Samples()
    samples.add(0.0, {"a.files": 1})
    samples.add(5.0, {"a.files": 2, "b.files": 3})
    samples.write(tmp_path / "samples.csv")
    with (tmp_path / "samples.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["elapsed_s", "a.files", "b.files"],
            ["0.0", "1", "0"],
            ["5.0", "2", "3"],
        ]


def test_the_picture_of_many_samples_is_small_and_names_the_parts(tmp_path: Path) -> None:
    rng = random.Random(2)
    parts = ("supervisor", "ingestion", "pipeline", "portal", "postgres", "redis", "mosquitto")
    whats = ("own_mb", "files", "sockets", "threads")
    samples = Samples()
    for n in range(1000):
        values = {f"{part}.{what}": rng.gauss(50, 5) for part in parts for what in whats}
        samples.add(10.0 * n, values)
    plot(samples, tmp_path / "plot.svg", pace=1)
    picture = (tmp_path / "plot.svg").read_text()
    assert len(picture) < 150_000
    assert all(part in picture for part in parts)


def _load(pace: float) -> Load:
    return Load(hours=1, readings=1, every_s=1, devices=1, seed="", pace=pace)
