"""What one route of the API is: how it is found, who may use it, and what it is documented as.

The dispatcher, the guard, the OpenAPI document and the reference page all read the same table.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from plumbline.portal.problems import Kind

RouteRole: TypeAlias = Literal["public", "viewer", "operator", "admin"]

Schema: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as the OpenAPI document describes it.

    Attributes:
        name: In the path, the query or the headers.
        place: Where it stands.
        schema: JSON Schema of its value, with an example.
    """

    name: str
    place: Literal["path", "query", "header"]
    description: str
    schema: Schema
    required: bool = False


@dataclass(frozen=True, slots=True)
class Success:
    """A good answer.

    Attributes:
        schema: Of a JSON body; None for an empty body or another media type.
        media_type: None for an empty body.
        example: Of the body.
        headers: Description by name.
    """

    status: int
    description: str
    schema: Schema | None = None
    media_type: str | None = "application/json"
    example: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """How a route is documented.

    Attributes:
        operation_id: Unique, ``snake_case``.
        tag: The group it is shown in.
        summary: One line.
        description: Markdown; units, order, what is cached.
        problems: Kinds it can answer with, beside those that every route can (see openapi.py) and
            those that follow from ``Route.role`` and ``Route.csrf``.
        body: JSON Schema of the request's body.
        body_example: Of the request's body.
    """

    operation_id: str
    tag: str
    summary: str
    description: str
    success: Sequence[Success]
    parameters: Sequence[Parameter] = ()
    problems: Sequence[Kind] = ()
    body: Schema | None = None
    body_example: Any = None


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        method: ``GET``, ``POST``, ``DELETE``, …; ``HEAD`` is served by ``GET``.
        path: With ``{name}`` for a segment (no slash).
        handler: Called with the request after the guard; raises Problem or a PlumblineError.
        role: The least role that may use it; ``public`` needs no sign-in.
        csrf: Whether a request with a session cookie must carry the CSRF token.
        operation: None keeps it out of the OpenAPI document (pages and their assets).
    """

    method: str
    path: str
    handler: Handler
    role: RouteRole
    operation: Operation | None
    csrf: bool = False
