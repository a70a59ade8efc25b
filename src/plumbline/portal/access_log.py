"""One line of JSON a request, written together: a request never waits for the disk."""

import asyncio
import contextlib
import itertools
import re
import secrets
import sys
import time
from typing import BinaryIO

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plumbline.portal.request_head import HEAD_KEY
from plumbline.portal.services import PRINCIPAL_KEY, REQUEST_ID_KEY, ROUTE_KEY

_WRITE_EVERY_S = 0.5
_MAX_WAITING = 10_000
_GIVEN_ID = re.compile(rb"[A-Za-z0-9_=.;:-]{8,128}")

_encode = msgspec.json.Encoder().encode


class AccessLog:
    """The outermost middleware: gives each request its id, and writes what became of it.

    Args:
        app: Serves.
        out: Where lines go.
    """

    def __init__(self, app: ASGIApp, out: BinaryIO | None = None) -> None:
        self._app = app
        self._out = out or sys.stdout.buffer
        self._lines: list[bytes] = []
        # Random for the process, then counted: random ones for each cost more than all else here.
        self._process_id = secrets.token_hex(8)
        self._second = 0
        self._until_second = ""
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; what is not HTTP goes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        request_id = scope[REQUEST_ID_KEY] = _given_id(scope) or self._new_id()
        header = (b"x-request-id", request_id.encode())
        status = sent_bytes = 0

        async def counted(message: Message) -> None:
            nonlocal status, sent_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), header]}
            else:
                sent_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            self._add(scope, status, sent_bytes, time.perf_counter() - began_s)

    def _now(self) -> str:
        now_s = time.time()
        second = int(now_s)
        if second != self._second:
            self._second = second
            self._until_second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._until_second}.{int(now_s * 1000) % 1000:03d}Z"

    def _new_id(self) -> str:
        return f"{self._process_id}{next(self._numbers):08x}"

    def _add(self, scope: Scope, status: int, sent_bytes: int, took_s: float) -> None:
        principal, route, head = scope.get(PRINCIPAL_KEY), scope.get(ROUTE_KEY), scope.get(HEAD_KEY)
        line = _encode(
            {
                "event": "request",
                "at": self._now(),
                "request_id": scope[REQUEST_ID_KEY],
                "method": scope["method"],
                # The query may hold what somebody looks for; the path says what is served.
                "path": scope["path"][:200],
                "route": None if route is None else route.path,
                "status": status,
                "ms": round(took_s * 1000, 3),
                "bytes": sent_bytes,
                "user": None if principal is None else principal.username,
                "address": None if head is None else head.address,
            }
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
                self._out.write(b"\n".join(lines) + b"\n")
                self._out.flush()


def _given_id(scope: Scope) -> str | None:
    """Return the id that a proxy or client has given, where it is safe to repeat."""
    for name, value in scope["headers"]:
        if name.lower() == b"x-request-id" and _GIVEN_ID.fullmatch(value):
            text: str = value.decode("ascii")
            return text
    return None
