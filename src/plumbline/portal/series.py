"""One device's readings, downsampled; of past days from their summaries, where they have one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from statistics import median_low
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from plumbline.adapters.postgres.async_database import AsyncDatabase
from plumbline.adapters.postgres.queries import load
from plumbline.domain.reading import format_time
from plumbline.portal.answers import json_answer
from plumbline.portal.query import Query, device_id
from plumbline.portal.readings import EARLIEST, require_known, sane
from plumbline.portal.services import services

_SQL = load("portal.sql")

DEFAULT_POINTS = 1000
MAX_POINTS = 2000
DEFAULT_SERIES = timedelta(hours=24)

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_SECOND_DAY = EARLIEST + DEFAULT_SERIES

# Of summaries. Buckets of four cells and more begin and end with a cell; so there are at most a
# quarter fewer than was asked for.
_CELL = timedelta(minutes=5)
_WHOLE_CELLS_FROM = 4 * _CELL

# With so many readings in a bucket on average, an empty one is no accident of the sampling.
_DENSE = 3


@dataclass(frozen=True, slots=True)
class Grid:
    """Buckets of equal width, side by side.

    Attributes:
        origin: Where the first begins.
        width: Of each.
    """

    origin: datetime
    width: timedelta

    @classmethod
    def over(cls, first: datetime, last: datetime, points: int) -> "Grid":
        """Return at most so many buckets that cover the range; wide ones are of whole cells."""
        width = max(_MICROSECOND, -(-(last - first) // points))
        if width < _WHOLE_CELLS_FROM:
            return cls(first, width)
        origin = EARLIEST + (first - EARLIEST) // _CELL * _CELL
        return cls(origin, -(-(last - origin) // (points * _CELL)) * _CELL)

    @property
    def of_cells(self) -> bool:
        """Whether no cell lies in two buckets."""
        return self.width >= _WHOLE_CELLS_FROM


@dataclass(slots=True)
class _Bucket:
    least: float
    greatest: float
    total: float
    count: int

    @property
    def mean(self) -> float:
        # Of equal values the computed mean can lie beside them by a rounding.
        return max(self.least, min(self.greatest, self.total / self.count))

    def add(self, least: float, greatest: float, total: float, count: int) -> None:
        self.least = min(self.least, least)
        self.greatest = max(self.greatest, greatest)
        self.total += total
        self.count += count


async def show_series(request: Request) -> Response:
    """Return the readings of a time, downsampled to buckets."""
    query = Query(request, ("from", "to", "points"))
    wanted = device_id(request)
    points = query.integer("points", 1, MAX_POINTS, DEFAULT_POINTS)
    now = services(request).clock.now()
    last = query.moment("to", now)
    first, last = sane(query.moment("from", max(last, _SECOND_DAY) - DEFAULT_SERIES), last)
    grid = Grid.over(first, last, points)
    buckets = await _read(services(request).database, wanted, first, last, grid)
    if not buckets:
        await require_known(request, wanted)
    starts = sorted(buckets)
    gap = gap_of(starts, [bucket.count for bucket in buckets.values()], grid.width)
    return json_answer(
        request,
        {
            "device_id": wanted,
            "from": format_time(grid.origin),
            "to": format_time(last),
            "bucket_s": grid.width.total_seconds(),
            "gap_s": gap.total_seconds(),
            **_columns(starts, buckets, grid.width, gap),
        },
    )


def gap_of(starts: Sequence[datetime], counts: Sequence[int], width: timedelta) -> timedelta:
    """Return from which distance of two filled buckets on a gap is between them.

    Where buckets hold many readings, an empty bucket is a gap. Where the device measures less often
    than buckets begin, some are empty all the time: then three times the usual distance is a gap.
    """
    if len(starts) < 2 or sum(counts) >= _DENSE * len(counts):  # noqa: PLR2004 - two have a distance
        return 2 * width
    usual = median_low([later - earlier for earlier, later in pairwise(starts)])
    return 3 * max(usual, width)


async def _read(
    database: AsyncDatabase, wanted: str, first: datetime, last: datetime, grid: Grid
) -> dict[datetime, _Bucket]:
    """Return the buckets that hold readings, by their beginning."""
    buckets: dict[datetime, _Bucket] = {}
    parameters = {"device_id": wanted, "width": grid.width, "origin": grid.origin}
    days: set[date] = set()
    if grid.of_cells:
        whole_days = {"first_day": _day_from(first), "end_day": last.astimezone(UTC).date()}
        rows = await database.fetch(_SQL["series_of_summaries"], parameters | whole_days)
        _add(buckets, (row[1:] for row in rows))
        days.update(row[0] for row in rows)
    # Each day comes whole from one statement, so what changes between two is never half in.
    for begin, end in _between(days, first, last):
        rows = await database.fetch(
            _SQL["series_of_readings"], parameters | {"from": begin, "to": end}
        )
        _add(buckets, rows)
    return buckets


def _add(buckets: dict[datetime, _Bucket], rows: Iterable[Sequence[Any]]) -> None:
    for start, least, greatest, total, count in rows:
        bucket = buckets.get(start)
        if bucket is None:
            buckets[start] = _Bucket(least, greatest, total, count)
        else:
            bucket.add(least, greatest, total, count)


def _day_from(moment: datetime) -> date:
    """Return the first day (UTC) that begins at the moment or later."""
    day = moment.astimezone(UTC).date()
    return day if moment == _midnight(day) else day + _DAY


def _between(
    days: set[date], first: datetime, last: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the parts of the range that lie in none of the days."""
    for day in sorted(days):
        if first < _midnight(day):
            yield first, _midnight(day)
        first = _midnight(day + _DAY)
    if first < last:
        yield first, last


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _columns(
    starts: Sequence[datetime],
    buckets: Mapping[datetime, _Bucket],
    width: timedelta,
    gap: timedelta,
) -> dict[str, list[object]]:
    """Return the buckets by column; in a gap, its first empty bucket stands with nulls."""
    times: list[object] = []
    lows: list[object] = []
    highs: list[object] = []
    means: list[object] = []
    counts: list[object] = []
    before: datetime | None = None
    for start in starts:
        if before is not None and start - before >= gap:
            times.append(format_time(before + width))
            for column in (lows, highs, means):
                column.append(None)
            counts.append(0)
        bucket = buckets[start]
        times.append(format_time(start))
        lows.append(bucket.least)
        highs.append(bucket.greatest)
        means.append(bucket.mean)
        counts.append(bucket.count)
        before = start
    return {"t": times, "min": lows, "max": highs, "mean": means, "count": counts}
