"""What was refused, and the account of every delivery."""

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from plumbline.adapters.postgres.queries import load
from plumbline.domain.reading import format_time, is_device_id
from plumbline.domain.reason import Reason
from plumbline.portal.answers import json_answer, page_answer, time_or_none
from plumbline.portal.query import NUMBER, Cursors, Query, refuse
from plumbline.portal.services import services

_SQL = load("quarantine.sql")

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
CURSORS = Cursors("q", NUMBER, "17")
REASONS = [reason.value for reason in Reason]
MAX_MISMATCHES = 100


async def list_quarantine(request: Request) -> Response:
    """Return refused messages, newest first, without their bytes."""
    query = Query(request, ("device_id", "reason", "limit", "cursor"))
    limit = query.integer("limit", 1, MAX_LIMIT, DEFAULT_LIMIT)
    rows = await services(request).database.fetch(
        _SQL["list"],
        {
            "device_id": _wanted(query),
            "reason": query.choice("reason", REASONS),
            "before": query.cursor(CURSORS),
            "limit": limit + 1,
        },
    )
    more = len(rows) > limit
    return page_answer(
        request,
        [_entry(row) for row in rows[:limit]],
        CURSORS.make(rows[limit - 1][0]) if more else None,
    )


async def show_ledger(request: Request) -> Response:
    """Return the account of one device or of all."""
    query = Query(request, ("device_id",))
    wanted = _wanted(query)
    account = await services(request).ledger.account(wanted)
    return json_answer(
        request,
        {
            "balanced": account.balanced,
            "approximate": account.approximate,
            "device_id": wanted,
            "messages": account.messages,
            "interrupted_batches": account.interrupted_batches,
            **asdict(account.total),
            "mismatches": [asdict(one) for one in account.mismatches[:MAX_MISMATCHES]],
        },
    )


def _wanted(query: Query) -> str | None:
    wanted = query.text("device_id", 50)
    if wanted is not None and not is_device_id(wanted):
        refuse("device_id: 1 to 50 of A-Z a-z 0-9 _ -")
    return wanted


def _entry(row: tuple[Any, ...]) -> dict[str, object]:
    (entry_id, delivery_id, device_id, topic, reason, detail, item, *rest) = row
    received_at, quarantined_at, replayed_at, size_bytes, complete = rest
    return {
        "id": entry_id,
        "delivery_id": str(delivery_id),
        "device_id": device_id or None,
        "topic": topic,
        "reason": reason,
        "detail": detail,
        "item": item,
        "size_bytes": size_bytes,
        "complete": complete,
        "received_at": format_time(received_at),
        "quarantined_at": format_time(quarantined_at),
        "replayed_at": time_or_none(replayed_at),
    }
