"""Finds the route of a request, asks the guard, calls the handler, and answers for its errors."""

import logging
from collections.abc import Sequence

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from plumbline.errors import HTTP_STATUS, PlumblineError, of_type
from plumbline.portal.guard import Guard
from plumbline.portal.problems import MEDIA_TYPE, Kind, Problem
from plumbline.portal.route import Route
from plumbline.portal.services import PRINCIPAL_KEY, REQUEST_ID_KEY, ROUTE_KEY, services_of

_log = logging.getLogger(__name__)

_KIND_OF_STATUS = {
    404: Kind.NOT_FOUND,
    409: Kind.CONFLICT,
    422: Kind.INVALID,
    500: Kind.INTERNAL,
    503: Kind.UNAVAILABLE,
}


class RouteTable:
    """Finds routes by method and path."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._by_length: dict[int, list[tuple[list[str], dict[str, Route]]]] = {}
        for route in routes:
            pattern = route.path.split("/")
            same_length = self._by_length.setdefault(len(pattern), [])
            for known, methods in same_length:
                if known == pattern:
                    methods[route.method] = route
                    break
            else:
                same_length.append((pattern, {route.method: route}))
        for same_length in self._by_length.values():
            # What is spelt out goes before what takes any segment.
            same_length.sort(key=lambda entry: sum(part.startswith("{") for part in entry[0]))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route, and the path's parameters by name.

        Raises:
            Problem: No such path, or not with this method.
        """
        parts = path.split("/")
        for pattern, methods in self._by_length.get(len(parts), ()):
            parameters = {}
            for wanted, part in zip(pattern, parts, strict=True):
                if wanted.startswith("{"):
                    parameters[wanted[1:-1]] = part
                elif wanted != part:
                    break
            else:
                route = methods.get("GET" if method == "HEAD" else method)
                if route is None:
                    allowed = sorted({*methods, *({"HEAD"} if "GET" in methods else ())})
                    raise Problem(Kind.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(allowed)})
                return route, parameters
        raise Problem(Kind.NOT_FOUND)


class Dispatcher:
    """Serves the routes of a table; whatever a handler raises becomes a problem.

    Args:
        routes: All of them.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._table = RouteTable(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        headless = _without_body(watched) if scope["method"] == "HEAD" else watched
        try:
            response = await self._respond(scope, receive, services_of(scope).guard)
            await response(scope, receive, headless)
        except ClientDisconnect:
            return
        except Exception as error:
            if begun:  # an answer that is cut off tells the client that it is not whole
                extra = {"request_id": scope.get(REQUEST_ID_KEY), "error": str(error)}
                _log.warning("answer_cut_off", extra=extra)
                raise  # the server logs where
            await problem_response(_problem_of(error, scope))(scope, receive, headless)

    async def _respond(self, scope: Scope, receive: Receive, guard: Guard) -> Response:
        route, parameters = self._table.find(scope["method"], scope["path"])
        scope[ROUTE_KEY] = route
        scope["path_params"] = parameters
        principal = await guard.admit(scope, route)
        if principal is not None:
            scope[PRINCIPAL_KEY] = principal
        return await route.handler(Request(scope, receive))


def problem_response(problem: Problem) -> Response:
    """Return the answer that tells of a problem."""
    headers = {"Cache-Control": "no-store", **problem.headers}
    return Response(problem.body(), problem.kind.value.status, headers, MEDIA_TYPE)


def _problem_of(error: Exception, scope: Scope) -> Problem:
    if isinstance(error, Problem):
        return error
    request_id = scope.get(REQUEST_ID_KEY)
    if isinstance(error, PlumblineError):
        kind = _KIND_OF_STATUS[of_type(HTTP_STATUS, error)]
        if kind is Kind.UNAVAILABLE:
            _log.warning("unavailable", extra={"request_id": request_id, "error": str(error)})
        return Problem(kind)
    _log.error("request_failed", exc_info=error, extra={"request_id": request_id})
    return Problem(Kind.INTERNAL)


def _without_body(send: Send) -> Send:
    async def headless(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return headless
