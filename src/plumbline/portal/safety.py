"""What every request passes first, and the headers that every answer carries."""

import asyncio
import logging
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plumbline.portal.problems import MEDIA_TYPE, Kind, Problem
from plumbline.portal.rate_limit import RateLimit
from plumbline.portal.request_head import head_of

_log = logging.getLogger(__name__)

Header = tuple[bytes, bytes]

ALWAYS: Sequence[Header] = (
    (b"server", b"plumbline"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
# Pages bring their own.
UNLESS_GIVEN: Sequence[Header] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
# Whoever watches must not take a busy portal for one that is down.
_NEVER_REFUSED = "/health"
HTTPS_ONLY: Header = (b"strict-transport-security", b"max-age=31536000")


class Safety:
    """What stands between the access log and all routes.

    Args:
        app: Serves.
        rate_limit: None where somebody else counts.
        max_body_bytes: A longer body is refused: at once where its length is announced, else when
            it is read.
        timeout_s: Until the answer begins.
        stall_timeout_s: Until the client takes the next part of a long answer; how long all of it
            takes is the client's affair.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        rate_limit: RateLimit | None,
        max_body_bytes: int,
        timeout_s: float,
        stall_timeout_s: float,
    ) -> None:
        self._app = app
        self._rate_limit = rate_limit
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s
        self._stall_timeout_s = stall_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        head = head_of(scope)
        headers = [HTTPS_ONLY] if head.scheme == "https" else []
        answer = _Answer(send, headers, self._stall_timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s) as deadline:
                answer.deadline = deadline
                if self._rate_limit is not None and scope["path"] != _NEVER_REFUSED:
                    quota = await self._rate_limit.take(head.subject)
                    answer.headers += quota.headers()
                    if quota.exceeded:
                        retry = {"Retry-After": str(quota.reset_s)}
                        await answer.problem(Problem(Kind.TOO_MANY_REQUESTS, headers=retry))
                        return
                if self._announces_too_much(head.header("content-length")):
                    await answer.problem(Problem(Kind.BODY_TOO_LARGE))
                    return
                await self._app(scope, self._limited(receive), answer.send)
        except TimeoutError:
            if not deadline.expired():
                raise
            _log.warning("request_timed_out", extra={"timeout_s": self._timeout_s})
            await answer.problem(Problem(Kind.TIMEOUT))

    def _announces_too_much(self, length: str | None) -> bool:
        # What is no number the server has refused already.
        return length is not None and length.isdecimal() and int(length) > self._max_body_bytes

    def _limited(self, receive: Receive) -> Receive:
        read_bytes = 0

        async def limited() -> Message:
            nonlocal read_bytes
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > self._max_body_bytes:
                raise Problem(Kind.BODY_TOO_LARGE)
            return message

        return limited


class _Answer:
    """Adds the headers to an answer, and ends the deadline when it begins."""

    def __init__(self, send: Send, headers: list[Header], stall_timeout_s: float) -> None:
        self._send = send
        self._stall_timeout_s = stall_timeout_s
        self._begun = False
        self.headers = [*ALWAYS, *headers]
        self.deadline: asyncio.Timeout | None = None

    async def send(self, message: Message) -> None:
        """Send a message of the answer."""
        if message["type"] == "http.response.start" and not self._begun:
            self._begun = True
            if self.deadline is not None and not self.deadline.expired():
                self.deadline.reschedule(None)
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            missing = [header for header in UNLESS_GIVEN if header[0] not in names]
            message = {**message, "headers": [*given, *self.headers, *missing]}
        if message.get("more_body"):
            async with asyncio.timeout(self._stall_timeout_s):
                await self._send(message)
        else:
            await self._send(message)

    async def problem(self, problem: Problem) -> None:
        """Answer with a problem."""
        body = problem.body()
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
        ]
        await self.send(
            {"type": "http.response.start", "status": problem.kind.value.status, "headers": headers}
        )
        await self.send({"type": "http.response.body", "body": body})
