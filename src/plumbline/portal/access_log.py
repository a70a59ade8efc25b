"""One line of JSON a request, written together: a request never waits for the disk."""

import asyncio
import contextlib
import itertools
import re
import secrets
import sys
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import BinaryIO

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plumbline.portal.request_head import head_of
from plumbline.portal.services import PRINCIPAL_KEY, REQUEST_ID_KEY, ROUTE_KEY

_WRITE_EVERY_S = 0.5
_MAX_WAITING = 10_000
_GIVEN_ID = re.compile(rb"[A-Za-z0-9_=.;:-]{8,128}")

_encode_lines = msgspec.json.Encoder().encode_lines


class _Line(msgspec.Struct, tag_field="event", tag="request"):
    at: datetime
    request_id: str
    method: str
    path: str
    route: str | None
    status: int
    ms: float
    bytes: int
    user: str | None
    address: str


class AccessLog:
    """The outermost middleware: gives each request its id, and writes what became of it.

    Args:
        app: Serves.
        out: Where lines go.
    """

    def __init__(self, app: ASGIApp, out: BinaryIO | None = None) -> None:
        self._app = app
        self._out = out or sys.stdout.buffer
        self._lines: list[_Line] = []
        # Random for the process, then counted: random ones for each cost more than all else here.
        self._process_id = secrets.token_hex(8)
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        began_s = time.perf_counter()
        request_id = scope[REQUEST_ID_KEY] = _given_id(scope) or self._new_id()
        header = (b"x-request-id", request_id.encode())
        status = sent_bytes = 0

        def counted(message: Message) -> Awaitable[None]:
            nonlocal status, sent_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), header]}
            else:
                sent_bytes += len(message.get("body", b""))
            return send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            self._add(scope, status, sent_bytes, time.perf_counter() - began_s)

    def _new_id(self) -> str:
        return f"{self._process_id}{next(self._numbers):08x}"

    def _add(self, scope: Scope, status: int, sent_bytes: int, took_s: float) -> None:
        principal, route = scope.get(PRINCIPAL_KEY), scope.get(ROUTE_KEY)
        line = _Line(
            datetime.now(UTC),
            scope[REQUEST_ID_KEY],
            scope["method"],
            # The query may hold what somebody looks for; the path says what is served.
            scope["path"][:200],
            None if route is None else route.path,
            status,
            round(took_s * 1000, 3),
            sent_bytes,
            None if principal is None else principal.username,
            head_of(scope).address,
        )
        if not self._lines:
            asyncio.get_running_loop().call_later(_WRITE_EVERY_S, self.write)
        self._lines.append(line)
        if len(self._lines) >= _MAX_WAITING:
            self.write()

    def write(self) -> None:
        """Write the lines that wait, at the end of the process too."""
        if self._lines:
            lines, self._lines = self._lines, []
            # A full disk or a reader that has gone costs lines, not requests.
            with contextlib.suppress(OSError):
                self._out.write(_encode_lines(lines))
                self._out.flush()


def _given_id(scope: Scope) -> str | None:
    """Return the id that a proxy or client has given, where it is safe to repeat."""
    given = head_of(scope).headers.get(b"x-request-id")
    return given.decode("ascii") if given is not None and _GIVEN_ID.fullmatch(given) else None
