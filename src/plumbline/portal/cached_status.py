"""The shortest way to a device's cached status: what a fleet's displays ask all the time.

It answers only where everything is as usual: a status in the cache, asked for by somebody who may,
without conditions. Whatever else there is goes the way of all requests, which then decides anew;
so nothing is answered here that would not be answered there, and both answers are the same (a test
compares them). It is worth two thirds of the time: see benchmarks/portal.py.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from plumbline.adapters.redis_entries import status_key
from plumbline.domain.reading import is_device_id
from plumbline.portal.answers import NEVER_KEEP, VARY, tag_of
from plumbline.portal.devices import aged, lasting
from plumbline.portal.rate_limit import RateLimit
from plumbline.portal.request_head import head_of
from plumbline.portal.route import Route
from plumbline.portal.routes import ROUTES
from plumbline.portal.safety import ALWAYS, HTTPS_ONLY, UNLESS_GIVEN, Header
from plumbline.portal.services import PRINCIPAL_KEY, ROUTE_KEY, Services
from plumbline.portal.status_cache import AHEAD, decode_status

_PREFIX, _SUFFIX = "/api/v1/devices/", "/status"
_LONGEST_PATH = len(_PREFIX) + 50 + len(_SUFFIX)
# Whoever sends one of these asks for more than the status.
_SPECIAL = frozenset({b"if-none-match", b"content-length", b"transfer-encoding"})


class CachedStatus:
    """Middleware that answers some requests itself.

    Args:
        app: Answers all others.
        rate_limit: That the other way has.
        services: Of the process.
    """

    def __init__(self, app: ASGIApp, rate_limit: RateLimit | None, services: Services) -> None:
        self._app = app
        self._rate_limit = rate_limit
        self._services = services
        self._route = _route_of(f"{_PREFIX}{{device_id}}{_SUFFIX}")
        given = {
            b"cache-control": NEVER_KEEP.encode(),
            b"vary": VARY.encode(),
            b"content-type": b"application/json",
        }
        self._headers = [
            *given.items(),
            *ALWAYS,
            *(header for header in UNLESS_GIVEN if header[0] not in given),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the others answer."""
        answer = None
        path: str = scope["path"]
        if len(path) <= _LONGEST_PATH and scope["method"] == "GET" and not scope["query_string"]:
            device_id = _device_of(path)
            if device_id is not None:
                answer = self._answer(scope, device_id)
        if answer is None:
            await self._app(scope, receive, send)
            return
        headers, body = answer
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, scope: Scope, device_id: str) -> tuple[list[Header], bytes] | None:
        services = self._services
        head = head_of(scope)
        if not _SPECIAL.isdisjoint(head.headers):
            return None
        known = _readable(services.redis.known(status_key(device_id)))
        if known is None or known.device_id != device_id:
            return None
        now = services.clock.now()
        if known.synced_at > now + AHEAD:
            return None
        principal = services.guard.admit_known(head, self._route)
        if principal is None:
            return None
        headers = [*self._headers, (b"etag", known.tag)]
        if self._rate_limit is not None:
            # Last of all: what is counted here is answered here.
            quota = self._rate_limit.take_known(head.subject)
            if quota is None:
                return None
            headers += quota.headers()
        scope[PRINCIPAL_KEY], scope[ROUTE_KEY] = principal, self._route
        body, age_s = aged(known.value, known.synced_at, now)
        headers += ((b"content-length", b"%d" % len(body)), (b"age", b"%d" % age_s))
        if head.scheme == "https":
            headers.append(HTTPS_ONLY)
        return headers, body


@lru_cache(4096)
def _device_of(path: str) -> str | None:
    """Return whose status the path names; None where it names something else."""
    if not (path.startswith(_PREFIX) and path.endswith(_SUFFIX)):
        return None
    device_id = path[len(_PREFIX) : -len(_SUFFIX)]
    return device_id if is_device_id(device_id) else None


@dataclass(frozen=True, slots=True)
class _Known:
    device_id: str
    synced_at: datetime
    tag: bytes
    value: bytes


# An entry of the cache stays the same from one sync to the next.
@lru_cache(4096)
def _readable(cached: bytes | None) -> _Known | None:
    if cached is None:
        return None
    try:
        status = decode_status(cached)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return _Known(status.device_id, status.synced_at, tag_of(lasting(cached)).encode(), cached)


def _route_of(path: str) -> Route:
    return next(route for route in ROUTES if (route.method, route.path) == ("GET", path))
