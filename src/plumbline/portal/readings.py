"""The readings of one device, as they are."""

from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from plumbline.adapters.postgres.queries import load
from plumbline.domain.reading import format_time
from plumbline.portal.answers import page_answer, time_or_none
from plumbline.portal.problems import Kind, Problem
from plumbline.portal.query import NUMBER, Cursors, Query, device_id, refuse
from plumbline.portal.services import services

_SQL = load("portal.sql")

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000
CURSORS = Cursors("r", NUMBER, "63905457600000000")
ORDERS = ("asc", "desc")

# Columns of the statements, after the time.
FIELDS = (
    "tilt_angle",
    "status",
    "battery_level",
    "tilt_x",
    "tilt_y",
    "tilt_z",
    "temperature",
    "rssi",
    "snr",
    "sequence",
)

_MICROSECOND = timedelta(microseconds=1)
# Ends of time that PostgreSQL and Python both know, a day from their edges.
EARLIEST = datetime.fromisoformat("0001-01-02T00:00:00+00:00")
LATEST = datetime.fromisoformat("9999-12-30T00:00:00+00:00")

_LAST_MICROS = (LATEST - EARLIEST) // _MICROSECOND


async def list_readings(request: Request) -> Response:
    """Return stored readings by their time."""
    query = Query(request, ("from", "to", "order", "limit", "cursor"))
    wanted = device_id(request)
    limit = query.integer("limit", 1, MAX_LIMIT, DEFAULT_LIMIT)
    first, last = span(query, EARLIEST, LATEST)
    descending = query.choice("order", ORDERS) == "desc"
    at = _moment_of(query.cursor(CURSORS))
    if at is not None:
        first, last = (
            (first, min(last, at)) if descending else (max(first, at + _MICROSECOND), last)
        )
    rows = await services(request).database.fetch(
        _SQL["readings_descending" if descending else "readings_ascending"],
        {"device_id": wanted, "from": first, "to": last, "limit": limit + 1},
    )
    if not rows:
        await require_known(request, wanted)
    more = len(rows) > limit
    return page_answer(
        request,
        [_reading(row) for row in rows[:limit]],
        CURSORS.make(_micros(rows[limit - 1][0])) if more else None,
    )


def span(query: Query, earliest: datetime, latest: datetime) -> tuple[datetime, datetime]:
    """Return ``from`` (included) and ``to`` (excluded)."""
    return sane(query.moment("from", earliest), query.moment("to", latest))


def sane(first: datetime, last: datetime) -> tuple[datetime, datetime]:
    """Return a range that the database knows.

    Raises:
        Problem: It ends before it begins.
    """
    if first > last:
        refuse("from: later than to")
    return min(max(first, EARLIEST), LATEST), min(max(last, EARLIEST), LATEST)


async def require_known(request: Request, wanted: str) -> None:
    """Refuse a device that is neither registered nor has ever reported.

    Raises:
        Problem: It is not known.
    """
    ((known,),) = await services(request).database.fetch(_SQL["is_known"], {"device_id": wanted})
    if not known:
        raise Problem(Kind.NOT_FOUND, "no such device")


def _reading(row: tuple[Any, ...]) -> dict[str, object]:
    timestamp, *values, received_at = row
    return {
        "timestamp": format_time(timestamp),
        **dict(zip(FIELDS, values, strict=True)),
        "received_at": time_or_none(received_at),
    }


def _micros(moment: datetime) -> int:
    return (moment - EARLIEST) // _MICROSECOND


def _moment_of(content: str | None) -> datetime | None:
    if content is None:
        return None
    return min(EARLIEST + min(int(content), _LAST_MICROS) * _MICROSECOND, LATEST)
