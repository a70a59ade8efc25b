"""How fast a series grows, and how fast it may."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

_MOST_POINTS = 200
"""More are brought together by medians first: slopes are those of all pairs."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a series may grow.

    Attributes:
        per_hour: In an hour of load, for ever.
        slack: In any run, once: what fills up and stays, and the noise of a short run.
        unit: Of both.
    """

    per_hour: float
    slack: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Drift:
    """What one series did after the warm-up.

    Attributes:
        series: Its name.
        first, last: Medians of the first and last tenth.
        per_hour: Slope, in an hour of load.
        allowed_per_hour: In a run of this length.
    """

    series: str
    first: float
    last: float
    per_hour: float
    allowed_per_hour: float
    unit: str

    @property
    def exceeded(self) -> bool:
        """Whether it grows faster than it may."""
        return self.per_hour > self.allowed_per_hour


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Return the Theil-Sen slope: the median of the slopes of all pairs, 0 for fewer than two.

    A third of the samples may be anything without moving it far.
    """
    points = list(_thinned(times, values))
    slopes = [
        (value - before) / (time - at)
        for (at, before), (time, value) in itertools.combinations(points, 2)
        if time > at
    ]
    return median(slopes) if slopes else 0.0


def drifts(
    times_h: Sequence[float], series: Mapping[str, Sequence[float]], limits: Mapping[str, Limit]
) -> list[Drift]:
    """Return the drift of each series that has a limit, in their order.

    Args:
        times_h: Of the samples, in hours of load.
        series: Values by name, as many as times.
        limits: By the name of a series, or by what is behind its last full stop.
    """
    span_h = times_h[-1] - times_h[0] if len(times_h) > 1 else 0.0
    tenth = max(1, len(times_h) // 10)
    found = []
    for name, values in series.items():
        limit = limits.get(name) or limits.get(name.rpartition(".")[2])
        if limit is None:
            continue
        allowed = limit.per_hour + (limit.slack / span_h if span_h else 0.0)
        found.append(
            Drift(
                name,
                median(values[:tenth]),
                median(values[-tenth:]),
                slope(times_h, values),
                allowed,
                limit.unit,
            )
        )
    return found


def _thinned(times: Sequence[float], values: Sequence[float]) -> Sequence[tuple[float, float]]:
    each = -(-len(times) // _MOST_POINTS)
    return [
        (median(times[start : start + each]), median(values[start : start + each]))
        for start in range(0, len(times), max(1, each))
    ]
