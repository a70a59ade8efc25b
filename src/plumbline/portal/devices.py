"""The fleet, one device, its status."""

import asyncio
from dataclasses import fields
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from plumbline.adapters.postgres.queries import load
from plumbline.domain.device import Lorawan
from plumbline.domain.reading import Status
from plumbline.portal.answers import (
    NEVER_KEEP,
    body_answer,
    json_answer,
    page_answer,
    time_or_none,
)
from plumbline.portal.problems import Kind, Problem
from plumbline.portal.query import Cursors, Query, device_id
from plumbline.portal.services import services

_SQL = load("portal.sql")

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_SEARCH = 100
CURSORS = Cursors("d", "[A-Za-z0-9_-]{1,50}", "tower-north")

_HEALTH_TIMEOUT_S = 1.5
_SHORT_COLUMNS = 9
_LORAWAN = tuple(field.name for field in fields(Lorawan))
STATUSES = [status.value for status in Status]


async def health(request: Request) -> Response:
    """Return 200 while the database answers, 503 otherwise."""
    Query(request, ())
    try:
        async with asyncio.timeout(_HEALTH_TIMEOUT_S):
            await services(request).database.fetch(_SQL["alive"])
    except TimeoutError as error:
        raise Problem(Kind.UNAVAILABLE) from error
    return json_answer(request, {"status": "ok"}, cache_control="no-store")


async def list_devices(request: Request) -> Response:
    """Return devices that are registered or have reported, by id."""
    query = Query(request, ("status", "search", "limit", "cursor"))
    limit = query.integer("limit", 1, MAX_LIMIT, DEFAULT_LIMIT)
    after = query.cursor(CURSORS) or ""
    rows = await services(request).database.fetch(
        _SQL["devices"],
        {
            "after": after,
            "status": query.choice("status", STATUSES),
            "search": query.text("search", MAX_SEARCH) or "",
            "limit": limit + 1,
        },
    )
    items = [_device(row) for row in rows[:limit]]
    return page_answer(
        request, items, CURSORS.make(rows[limit - 1][0]) if len(rows) > limit else None
    )


async def show_device(request: Request) -> Response:
    """Return one device."""
    Query(request, ())
    rows = await services(request).database.fetch(_SQL["device"], {"device_id": device_id(request)})
    if not rows:
        raise Problem(Kind.NOT_FOUND, "no such device")
    short, entry = rows[0][:_SHORT_COLUMNS], rows[0][_SHORT_COLUMNS:]
    created_at, rotated_at, disabled_at, *lorawan = entry
    return json_answer(
        request,
        _device(short)
        | {
            "created_at": time_or_none(created_at),
            "rotated_at": time_or_none(rotated_at),
            "disabled_at": time_or_none(disabled_at),
            "lorawan": None if lorawan[0] is None else dict(zip(_LORAWAN, lorawan, strict=True)),
        },
    )


async def show_status(request: Request) -> Response:
    """Return the device's status as it was last synchronised, and how long ago that was."""
    Query(request, ())
    found = await services(request).statuses.status(device_id(request))
    if found is None:
        raise Problem(Kind.NOT_FOUND, "no such device, or it has not reported yet")
    return aged_answer(request, *found)


async def show_statistics(request: Request) -> Response:
    """Return the fleet's statistics, and how old they are."""
    Query(request, ())
    return aged_answer(request, *await services(request).statuses.statistics())


def aged_answer(request: Request, value: bytes, synced_at: datetime) -> Response:
    """Answer with a cached JSON object and its age; the tag leaves out both times of the cache.

    Who kept it would show the age that it had: so nobody may, and a 304 says the new ``Age``.
    """
    body, age_s = aged(value, synced_at, services(request).clock.now())
    return body_answer(
        request,
        body,
        "application/json",
        headers={"Age": str(age_s)},
        cache_control=NEVER_KEEP,
        tagged=lasting(value),
    )


def aged(value: bytes, synced_at: datetime, now: datetime) -> tuple[bytes, int]:
    """Return a cached JSON object with its age in it, and whole seconds of it."""
    age_s = max(0.0, (now - synced_at).total_seconds())
    return b'%s,"age_s":%.3f}' % (value[:-1], age_s), int(age_s)


def lasting(value: bytes) -> bytes:
    """Return the part of a cached JSON object that does not tell of the cache."""
    return value.rpartition(b',"synced_at"')[0]


def _device(row: tuple[Any, ...]) -> dict[str, object]:
    (found, name, protocol, registered, disabled, status, last_seen, tilt_angle, battery) = row
    return {
        "device_id": found,
        "name": name,
        "protocol": protocol,
        "registered": registered,
        "disabled": disabled,
        "current_status": status,
        "last_seen": time_or_none(last_seen),
        "tilt_angle": tilt_angle,
        "battery_level": battery,
    }
