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

from plumbline.adapters.redis import status_key
from plumbline.domain.reading import is_device_id
from plumbline.errors import CacheUnavailable, StoreUnavailable
from plumbline.portal.answers import NEVER_KEEP, VARY, tag_of
from plumbline.portal.devices import aged, lasting
from plumbline.portal.problems import Problem
from plumbline.portal.request_head import HEAD_KEY, HeadReader
from plumbline.portal.route import Route
from plumbline.portal.routes import ROUTES
from plumbline.portal.safety import ALWAYS, HTTPS_ONLY, UNLESS_GIVEN
from plumbline.portal.services import PRINCIPAL_KEY, ROUTE_KEY, Services
from plumbline.portal.status_cache import decode_status

_PREFIX, _SUFFIX = "/api/v1/devices/", "/status"
_LONGEST_PATH = len(_PREFIX) + 50 + len(_SUFFIX)
# Whoever sends one of these asks for more than the status.
_SPECIAL = (b"if-none-match", b"content-length", b"transfer-encoding")


class CachedStatus:
    """Middleware that answers some requests itself.

    Args:
        app: Answers all others.
        heads: Reads heads, as the other way does.
        services: Of the process.
    """

    def __init__(self, app: ASGIApp, heads: HeadReader, services: Services) -> None:
        self._app = app
        self._heads = heads
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
        path: str = scope["path"]
        if (
            path.endswith(_SUFFIX)
            and path.startswith(_PREFIX)
            and len(path) <= _LONGEST_PATH
            and scope["method"] == "GET"
            and not scope["query_string"]
        ):
            device_id = path[len(_PREFIX) : -len(_SUFFIX)]
            if is_device_id(device_id) and await self._answer(scope, send, device_id):
                return
        await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, send: Send, device_id: str) -> bool:
        head = self._heads.read(scope)
        if any(name in head.headers for name in _SPECIAL):
            return False
        # On its way while the guard looks who asks: one command for both.
        answer = self._services.redis.prefetch(status_key(device_id))
        if answer is None:
            return False
        scope[HEAD_KEY] = head
        try:
            principal = await self._services.guard.admit(scope, self._route)
            cached = await answer
        except (Problem, StoreUnavailable, CacheUnavailable):
            return False
        finally:
            answer.cancel()
        known = None if cached is None else _readable(cached)
        if cached is None or known is None or known.device_id != device_id:
            return False
        scope[PRINCIPAL_KEY], scope[ROUTE_KEY] = principal, self._route
        body, age_s = aged(cached, known.synced_at, self._services.clock.now())
        headers = [
            (b"content-length", b"%d" % len(body)),
            (b"age", b"%d" % age_s),
            (b"etag", known.tag),
            *self._headers,
        ]
        if head.scheme == "https":
            headers.append(HTTPS_ONLY)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return True


@dataclass(frozen=True, slots=True)
class _Known:
    device_id: str
    synced_at: datetime
    tag: bytes


# An entry of the cache stays the same from one sync to the next.
@lru_cache(4096)
def _readable(cached: bytes) -> _Known | None:
    try:
        status = decode_status(cached)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return _Known(status.device_id, status.synced_at, tag_of(lasting(cached)).encode())


def _route_of(path: str) -> Route:
    return next(route for route in ROUTES if (route.method, route.path) == ("GET", path))
