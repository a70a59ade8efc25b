"""A series computed in the most obvious way, to compare with."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from plumbline.domain.reading import format_time

_MICROSECOND = timedelta(microseconds=1)
_CELL_US = 300_000_000


def plain_series(
    readings: list[tuple[datetime, float]], first: datetime, last: datetime, points: int
) -> dict[str, list[Any]]:
    """Compute a series in the most obvious way."""
    origin, width_us = first, -(-((last - first) // _MICROSECOND) // points)
    if width_us >= 2 * _CELL_US:
        since_midnight = first - first.replace(hour=0, minute=0, second=0, microsecond=0)
        origin = first - since_midnight % timedelta(microseconds=_CELL_US)
        cells = -(-((last - origin) // _MICROSECOND) // _CELL_US)
        width_us = -(-cells // points) * _CELL_US
    buckets: dict[int, list[float]] = {}
    for moment, angle in readings:
        if first <= moment < last:
            index = (moment - origin) // _MICROSECOND // width_us
            buckets.setdefault(index, []).append(angle)
    indexes = sorted(buckets)
    if sum(map(len, buckets.values())) >= 3 * len(buckets):
        gap_us = 2 * width_us
    else:
        distances = sorted(b - a for a, b in pairwise(indexes))
        gap_us = 3 * width_us * max(1, distances[(len(distances) - 1) // 2] if distances else 1)
    columns: dict[str, list[Any]] = {"t": [], "min": [], "max": [], "mean": [], "count": []}
    before: int | None = None
    for index in indexes:
        if before is not None and (index - before) * width_us >= gap_us:
            _add(columns, origin, (before + 1) * width_us, [])
        _add(columns, origin, index * width_us, buckets[index])
        before = index
    return columns


def _add(columns: dict[str, list[Any]], origin: datetime, at_us: int, angles: list[float]) -> None:
    columns["t"].append(format_time(origin + timedelta(microseconds=at_us)))
    columns["min"].append(min(angles) if angles else None)
    columns["max"].append(max(angles) if angles else None)
    columns["mean"].append(pytest.approx(sum(angles) / len(angles)) if angles else None)
    columns["count"].append(len(angles))
