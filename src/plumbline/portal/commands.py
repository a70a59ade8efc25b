"""Commands: send, list, look at, take back."""

import hashlib
import re
import uuid
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from plumbline.adapters.postgres.commands import Issue, IssuedCommand, KeyUsedOtherwise
from plumbline.domain.command import (
    DEFAULT_LIFE,
    MAX_LIFE_S,
    MIN_LIFE_S,
    Command,
    CommandState,
    Verb,
    wrong_params,
)
from plumbline.domain.reading import format_time
from plumbline.portal.answers import NEVER_KEEP, json_answer, page_answer, time_or_none
from plumbline.portal.audit import audit_values
from plumbline.portal.guard import Principal
from plumbline.portal.problems import Kind, Problem
from plumbline.portal.query import NUMBER, Cursors, Query, device_id, refuse
from plumbline.portal.readings import require_known
from plumbline.portal.request_head import head_of
from plumbline.portal.services import PRINCIPAL_KEY, REQUEST_ID_KEY, services

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
CURSORS = Cursors("c", NUMBER, "17")
STATES = [state.value for state in CommandState]

_KEY = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


_T = TypeVar("_T")


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    command: Verb
    params: dict[str, Any] = {}
    expires_in_s: int | float = int(DEFAULT_LIFE.total_seconds())


_decode = msgspec.json.Decoder(_Body).decode


async def send_command(request: Request) -> Response:
    """Store a command; a relay sends it on its way."""
    wanted = device_id(request)
    Query(request, ())
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        refuse("Idempotency-Key: 1 to 128 visible ASCII characters")
    body = await _read(request)
    target = await services(request).commands.target(wanted)
    if target is None:
        raise Problem(Kind.NOT_FOUND, "no registered device of that id")
    if target.disabled:
        raise Problem(Kind.CONFLICT, "the device is disabled")
    command = _command(wanted, body, services(request).clock.now())
    principal: Principal = request.scope[PRINCIPAL_KEY]
    issue = Issue(
        issued_by=principal.username,
        idempotency_key=key,
        request_hash=_hash(wanted, body),
        protocol=target.protocol,
        audit=_audit(
            request,
            "command.send",
            f"{wanted} {command.command_id}",
            {"command": command.verb.value, "params": dict(command.params)},
        ),
    )
    try:
        issued, _ = await services(request).commands.add(command, issue)
    except KeyUsedOtherwise as error:
        raise Problem(Kind.IDEMPOTENCY_KEY_REUSED) from error
    services(request).relay.wake()
    location = f"/api/v1/commands/{issued.command.command_id}"
    return json_answer(
        request,
        _shown(issued),
        status=202,
        headers={"Location": location},
        cache_control=NEVER_KEEP,
    )


async def list_commands(request: Request) -> Response:
    """Return a device's commands, newest first."""
    query = Query(request, ("state", "limit", "cursor"))
    wanted = device_id(request)
    limit = query.integer("limit", 1, MAX_LIMIT, DEFAULT_LIMIT)
    before = query.cursor(CURSORS)
    found = await services(request).commands.of_device(
        wanted,
        state=query.choice("state", STATES),
        before=None if before is None else int(before),
        limit=limit + 1,
    )
    if not found:
        await require_known(request, wanted)
    more = len(found) > limit
    return page_answer(
        request,
        [_shown(issued) for issued in found[:limit]],
        CURSORS.make(found[limit - 1].position) if more else None,
    )


async def show_command(request: Request) -> Response:
    """Return one command."""
    Query(request, ())
    return json_answer(request, _shown(await _find(request)))


async def cancel_command(request: Request) -> Response:
    """Take back a command that nobody can have yet."""
    Query(request, ())
    issued = await _find(request)
    command_id = issued.command.command_id
    audit = _audit(request, "command.cancel", f"{issued.command.device_id} {command_id}", {})
    if not await services(request).commands.cancel(command_id, audit):
        raise Problem(Kind.CONFLICT, "the command is on its way, or at its end")
    return json_answer(request, _shown(await _find(request)), cache_control=NEVER_KEEP)


async def _find(request: Request) -> IssuedCommand:
    text: str = request.path_params["command_id"]
    if _UUID.fullmatch(text):
        issued = await services(request).commands.get(uuid.UUID(text))
        if issued is not None:
            return issued
    raise Problem(Kind.NOT_FOUND, "no such command")


async def _read(request: Request) -> _Body:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem(Kind.UNSUPPORTED_MEDIA_TYPE)
    try:
        body = _decode(await request.body())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        refuse(f"body: {error}")
    # For JSON Schema, 300.0 is an integer.
    body.params = {name: _whole(value) for name, value in body.params.items()}
    body.expires_in_s = _whole(body.expires_in_s)
    if type(body.expires_in_s) is not int or not MIN_LIFE_S <= body.expires_in_s <= MAX_LIFE_S:
        refuse(f"expires_in_s: an integer, {MIN_LIFE_S} to {MAX_LIFE_S} s")
    if wrong := wrong_params(body.command, body.params):
        refuse("; ".join(line.encode("ascii", "replace").decode()[:200] for line in wrong[:5]))
    return body


def _whole(value: _T) -> _T | int:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _command(wanted: str, body: _Body, now: datetime) -> Command:
    # Of the clock's microseconds the database keeps all, so what is answered is what is stored.
    return Command(
        uuid.uuid4(),
        wanted,
        body.command,
        body.params,
        issued_at=now,
        expires_at=now + timedelta(seconds=body.expires_in_s),
    )


def _hash(wanted: str, body: _Body) -> bytes:
    asked = [wanted, body.command, sorted(body.params.items()), body.expires_in_s]
    return hashlib.sha256(msgspec.json.encode(asked)).digest()


def _audit(
    request: Request, action: str, target: str, detail: dict[str, object]
) -> dict[str, object]:
    principal: Principal = request.scope[PRINCIPAL_KEY]
    return audit_values(
        action,
        principal.username,
        principal.via,
        head_of(request.scope),
        request.scope.get(REQUEST_ID_KEY),
        target=target,
        detail=detail,
    )


def _shown(issued: IssuedCommand) -> dict[str, object]:
    command = issued.command
    return {
        "command_id": str(command.command_id),
        "device_id": command.device_id,
        "protocol": issued.protocol,
        "command": command.verb.value,
        "params": dict(command.params),
        "state": issued.state.value,
        "detail": issued.detail,
        "issued_by": issued.issued_by,
        "issued_at": format_time(command.issued_at),
        "expires_at": format_time(command.expires_at),
        "sent_at": time_or_none(issued.sent_at),
        "acknowledged_at": time_or_none(issued.acknowledged_at),
        "failed_at": time_or_none(issued.failed_at),
        "expired_at": time_or_none(issued.expired_at),
        "cancelled_at": time_or_none(issued.cancelled_at),
    }
