"""The OpenAPI 3.1 document, made of the table of routes."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from plumbline.portal.answers import body_answer
from plumbline.portal.problems import MEDIA_TYPE, Kind
from plumbline.portal.query import Query
from plumbline.portal.route import Handler, Operation, Parameter, Route, Success
from plumbline.portal.schemas import SCHEMAS, JsonSchema, record, ref

# Every route can answer so: it needs the database or may be asked too often.
_ALWAYS = (
    Kind.TOO_MANY_REQUESTS,
    Kind.BODY_TOO_LARGE,
    Kind.INTERNAL,
    Kind.UNAVAILABLE,
    Kind.TIMEOUT,
)
_SIGNED_IN = (Kind.SIGN_IN_REQUIRED, Kind.NOT_ALLOWED)

_PROBLEM = record(
    {
        "type": {"type": "string", "examples": ["urn:plumbline:problem:not-found"]},
        "title": {"type": "string", "description": "The same for every problem of the type"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
    },
    "RFC 9457.",
)
_PROBLEM["properties"]["detail"] = {
    "type": "string",
    "description": "What the caller can do about it",
}
_PROBLEM["properties"]["type"]["enum"] = sorted({f"urn:plumbline:problem:{k.slug}" for k in Kind})

_WHOLE_SECONDS: JsonSchema = {"type": "integer", "minimum": 1}
# By name: schema, and of what answers; of every one where no status is named.
_HEADERS: dict[str, tuple[JsonSchema, frozenset[int], str]] = {
    "X-Request-Id": (
        {"type": "string", "examples": ["52b74c20ceb19ee100000001"]},
        frozenset(),
        "Stands in the access log, too; the caller's own is kept where it is plain",
    ),
    "RateLimit": (
        {"type": "string", "examples": ['"default";r=1999;t=300']},
        frozenset(),
        "What is left of the window: `r` requests, `t` seconds; absent where nobody counts",
    ),
    "RateLimit-Policy": (
        {"type": "string", "examples": ['"default";q=2000;w=300']},
        frozenset(),
        "`q` requests of one address in `w` seconds; absent where nobody counts",
    ),
    "Retry-After": (_WHOLE_SECONDS, frozenset({429, 503}), "When to try again, seconds"),
    "WWW-Authenticate": (
        {"type": "string", "examples": ['Bearer realm="plumbline"']},
        frozenset({401}),
        "How to sign in; absent where user name or password were wrong",
    ),
}

_ABOUT = """\
Tilt sensors: their readings, their status, commands to them.

Angles are degrees, times RFC 3339 UTC, `battery_level` is per cent, `temperature` °C, `rssi` dBm,
`snr` dB. Lists come in pages: `limit`, then `cursor` with the page's `next_cursor`, or follow
`Link: rel="next"`. Errors are problem details (RFC 9457). Parameters that a route does not have are
refused. Every answer has an `X-Request-Id`, which the access log has, too.

Sign in with `POST /api/v1/session` (a cookie; whatever changes something then needs
`X-CSRF-Token`), or send an API token: `Authorization: Bearer …`. A `viewer` reads, an `operator`
sends commands, too, an `admin` may do everything.
"""


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the document of the routes that have an operation."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.operation is not None:
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(
                route, route.operation
            )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Plumbline",
            "version": version("plumbline"),
            "description": _ABOUT,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in _tags(routes)],
        "paths": paths,
        "components": {
            "headers": {
                name: {"description": text, "schema": schema}
                for name, (schema, _, text) in _HEADERS.items()
            },
            "schemas": {**SCHEMAS, "Problem": _PROBLEM},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An API token"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-plumbline-session",
                    "description": "Set by `POST /api/v1/session`",
                },
            },
        },
    }


def serve(routes: Callable[[], Sequence[Route]]) -> Handler:
    """Return the handler that serves the document.

    Args:
        routes: Returns the table, which holds the handler itself.
    """
    made: list[bytes] = []

    async def show_document(request: Request) -> Response:
        Query(request, ())
        if not made:
            made.append(msgspec.json.encode(document(routes())))
        return body_answer(request, made[0], "application/json", cache_control="no-cache")

    return show_document


def problem_kinds(route: Route, operation: Operation) -> list[Kind]:
    """Return all that a route can answer with, beside success."""
    kinds = {*operation.problems, *_ALWAYS}
    if route.role != "public":
        kinds.update(_SIGNED_IN)
    if route.csrf:
        kinds.add(Kind.CROSS_SITE)
    return [kind for kind in Kind if kind in kinds]


def _operation(route: Route, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": f"{operation.description}\n\nRole: {route.role}.",
        "parameters": [_parameter(one) for one in (*operation.parameters, *_csrf(route))],
        "responses": _responses(route, operation),
        "security": [] if route.role == "public" else [{"token": []}, {"session": []}],
    }
    if operation.body is not None:
        content = {"schema": operation.body, "example": operation.body_example}
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    return described


def _csrf(route: Route) -> tuple[Parameter, ...]:
    if not route.csrf or route.role == "public":
        return ()
    return (
        Parameter(
            "X-CSRF-Token",
            "header",
            "With a session's cookie: the token that signing in gave. API tokens need none.",
            {"type": "string"},
        ),
    )


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _responses(route: Route, operation: Operation) -> dict[str, Any]:
    responses = {str(good.status): _success(good) for good in operation.success}
    by_status: dict[int, list[Kind]] = {}
    for kind in problem_kinds(route, operation):
        by_status.setdefault(kind.value.status, []).append(kind)
    for status, kinds in sorted(by_status.items()):
        responses[str(status)] = {
            "description": "; ".join(kind.value.title for kind in kinds),
            "headers": _headers(status),
            "content": {
                MEDIA_TYPE: {
                    "schema": ref("Problem"),
                    "examples": {kind.slug: {"value": _example(kind)} for kind in kinds},
                }
            },
        }
    return responses


def _success(good: Success) -> dict[str, Any]:
    own = {
        name: {"description": text, "schema": {"type": "string"}}
        for name, text in good.headers.items()
    }
    described: dict[str, Any] = {
        "description": good.description,
        "headers": {**own, **_headers(good.status)},
    }
    if good.media_type is not None:
        content: JsonSchema = {"schema": dict(good.schema or {})}
        if good.example is not None:
            content["example"] = good.example
        described["content"] = {good.media_type: content}
    return described


def _headers(status: int) -> dict[str, Any]:
    return {
        name: {"$ref": f"#/components/headers/{name}"}
        for name, (_, statuses, _) in _HEADERS.items()
        if not statuses or status in statuses
    }


def _example(kind: Kind) -> dict[str, Any]:
    return {
        "type": f"urn:plumbline:problem:{kind.slug}",
        "title": kind.value.title,
        "status": kind.value.status,
    }


def _tags(routes: Sequence[Route]) -> list[str]:
    tags: dict[str, None] = {}
    for route in routes:
        if route.operation is not None:
            tags.setdefault(route.operation.tag)
    return list(tags)
