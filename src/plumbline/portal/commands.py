"""Commands: send, list, look at, take back."""

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from plumbline.application.issue_command import Audit, CommandRequest
from plumbline.codecs.issued_command_json import members
from plumbline.domain.audit import AuditEntry
from plumbline.domain.command import MAX_LIFE_S, MIN_LIFE_S, CommandState, Verb
from plumbline.errors import Conflict, KeyReused, NotFound, PermanentError
from plumbline.portal.answers import NEVER_KEEP, json_answer, page_answer
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
    expires_in_s: int | float | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Body).decode


async def send_command(request: Request) -> Response:
    """Store a command; a relay sends it on its way."""
    wanted = device_id(request)
    Query(request, ())
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        refuse("Idempotency-Key: 1 to 128 visible ASCII characters")
    asked = await _read(request, wanted)
    principal: Principal = request.scope[PRINCIPAL_KEY]
    with _as_problems():
        issued = await services(request).commands.issue(
            asked, principal.username, _audit(request), key
        )
    return json_answer(
        request,
        members(issued),
        status=202,
        headers={"Location": f"/api/v1/commands/{issued.command.command_id}"},
        cache_control=NEVER_KEEP,
    )


async def list_commands(request: Request) -> Response:
    """Return a device's commands, newest first."""
    query = Query(request, ("state", "limit", "cursor"))
    wanted = device_id(request)
    limit = query.integer("limit", 1, MAX_LIMIT, DEFAULT_LIMIT)
    before = query.cursor(CURSORS)
    state = query.choice("state", STATES)
    found = await services(request).commands.newest(
        wanted,
        state=None if state is None else CommandState(state),
        before=None if before is None else int(before),
        limit=limit + 1,
    )
    if not found:
        await require_known(request, wanted)
    more = len(found) > limit
    return page_answer(
        request,
        [members(issued) for issued in found[:limit]],
        CURSORS.make(found[limit - 1].position) if more else None,
    )


async def show_command(request: Request) -> Response:
    """Return one command."""
    Query(request, ())
    with _as_problems():
        issued = await services(request).commands.get(_command_id(request))
    return json_answer(request, members(issued))


async def cancel_command(request: Request) -> Response:
    """Take back a command that nobody can have yet."""
    Query(request, ())
    with _as_problems():
        issued = await services(request).commands.cancel(_command_id(request), _audit(request))
    return json_answer(request, members(issued), cache_control=NEVER_KEEP)


def _command_id(request: Request) -> uuid.UUID:
    text: str = request.path_params["command_id"]
    if not _UUID.fullmatch(text):
        raise Problem(Kind.NOT_FOUND, "no such command")
    return uuid.UUID(text)


async def _read(request: Request, wanted: str) -> CommandRequest:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem(Kind.UNSUPPORTED_MEDIA_TYPE)
    try:
        body = _decode(await request.body())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        refuse(f"body: {error}")
    # For JSON Schema, 300.0 is an integer.
    params = {name: _whole(value) for name, value in body.params.items()}
    life_s = None if body.expires_in_s is msgspec.UNSET else _whole(body.expires_in_s)
    if life_s is not None and not isinstance(life_s, int):
        refuse(f"expires_in_s: an integer, {MIN_LIFE_S} to {MAX_LIFE_S} s")
    return CommandRequest(wanted, body.command, params, life_s)


def _whole(value: _T) -> _T | int:
    return int(value) if isinstance(value, float) and value.is_integer() else value


@contextmanager
def _as_problems() -> Iterator[None]:
    """Tell the caller what was wrong, in the words of the use case."""
    try:
        yield
    except NotFound as error:
        raise Problem(Kind.NOT_FOUND, str(error)) from error
    except Conflict as error:
        raise Problem(Kind.CONFLICT, str(error)) from error
    except KeyReused as error:
        raise Problem(Kind.IDEMPOTENCY_KEY_REUSED) from error
    except PermanentError as error:
        raise Problem(Kind.INVALID, str(error)) from error


def _audit(request: Request) -> Audit:
    principal: Principal = request.scope[PRINCIPAL_KEY]

    def entry(action: str, target: str, detail: Mapping[str, Any]) -> AuditEntry:
        return AuditEntry(
            principal.username,
            principal.via,
            action,
            target,
            detail,
            head_of(request.scope).address,
            request.scope.get(REQUEST_ID_KEY),
        )

    return entry
