"""One device's readings, downsampled; of past days from their summaries, where they have one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from statistics import median_low
from typing import Any, NamedTuple

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

# Of summaries. Buckets of two cells and more begin and end with a cell; so there are at most a
# third fewer than was asked for.
_CELL = timedelta(minutes=5)
_WHOLE_CELLS_FROM = 2 * _CELL

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


class _Bucket(NamedTuple):
    """A row of the statements, or several of the same bucket together."""

    start: datetime
    least: float
    greatest: float
    total: float
    readings: int


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
    gap = gap_of([bucket.start for bucket in buckets], [b.readings for b in buckets], grid.width)
    return json_answer(
        request,
        {
            "device_id": wanted,
            "from": format_time(grid.origin),
            "to": format_time(last),
            "bucket_s": grid.width.total_seconds(),
            "gap_s": gap.total_seconds(),
            **_columns(buckets, grid.width, gap),
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
) -> list[_Bucket]:
    """Return the buckets that hold readings, by their beginning."""
    buckets: dict[datetime, _Bucket] = {}
    parameters = {"device_id": wanted, "width": grid.width, "origin": grid.origin}
    days: set[date] = set()
    if grid.of_cells:
        whole_days = {"first_day": _day_from(first), "end_day": last.astimezone(UTC).date()}
        rows = await database.fetch(_SQL["series_of_summaries"], parameters | whole_days)
        _add(buckets, (row[:-1] for row in rows))
        days.update(row[-1] for row in rows)
    # Each day comes whole from one statement, so what changes between two is never half in.
    for begin, end in _between(days, first, last):
        rows = await database.fetch(
            _SQL["series_of_readings"], parameters | {"from": begin, "to": end}
        )
        _add(buckets, rows)
    return [buckets[start] for start in sorted(buckets)]


def _add(buckets: dict[datetime, _Bucket], rows: Iterable[Sequence[Any]]) -> None:
    for row in map(_Bucket._make, rows):
        other = buckets.get(row.start)
        if other is not None:
            row = _Bucket(  # noqa: PLW2901 - the two are one bucket
                row.start,
                min(row.least, other.least),
                max(row.greatest, other.greatest),
                row.total + other.total,
                row.readings + other.readings,
            )
        buckets[row.start] = row


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
    buckets: Iterable[_Bucket], width: timedelta, gap: timedelta
) -> dict[str, list[object]]:
    """Return the buckets by column; in a gap, its first empty bucket stands with nulls."""
    times: list[object] = []
    lows: list[object] = []
    highs: list[object] = []
    means: list[object] = []
    counts: list[object] = []
    before: datetime | None = None
    for start, least, greatest, total, readings in buckets:
        if before is not None and start - before >= gap:
            times.append(before + width)
            for column in (lows, highs, means):
                column.append(None)
            counts.append(0)
        times.append(start)
        lows.append(least)
        highs.append(greatest)
        # Of equal values the computed mean can lie beside them by a rounding.
        means.append(max(least, min(greatest, total / readings)))
        counts.append(readings)
        before = start
    return {"t": times, "min": lows, "max": highs, "mean": means, "count": counts}
