"""`/api/v1/session`: sign in, out, who am I."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from plumbline.domain.account import MAX_PASSWORD_LENGTH
from plumbline.domain.reading import format_time
from plumbline.portal.csrf import csrf_token
from plumbline.portal.guard import Principal
from plumbline.portal.problems import Kind, Problem
from plumbline.portal.request_head import RequestHead, head_of
from plumbline.portal.route import Operation, Route, Success
from plumbline.portal.services import PRINCIPAL_KEY, REQUEST_ID_KEY, services
from plumbline.portal.sign_in import LONGEST_SESSION_S, SignedIn

_BROWSER_KNOWN_S = 180 * 86_400
_NO_STORE = {"Cache-Control": "no-store"}

_WHO = {
    "type": "object",
    "required": ["username", "role", "via", "scopes", "expires_at", "csrf_token"],
    "properties": {
        "username": {"type": "string", "examples": ["anna"]},
        "role": {"enum": ["viewer", "operator", "admin"]},
        "via": {"enum": ["session", "token"]},
        "scopes": {"type": "array", "items": {"enum": ["read", "write"]}},
        "expires_at": {
            "type": "string",
            "format": "date-time",
            "description": "When session or token end at the latest, UTC.",
        },
        "csrf_token": {
            "type": ["string", "null"],
            "description": "For the header `X-CSRF-Token` of whatever changes something;"
            " null for API tokens, which need none.",
        },
    },
}
_EXAMPLE = {
    "username": "anna",
    "role": "operator",
    "via": "session",
    "scopes": ["read", "write"],
    "expires_at": "2030-01-31T20:00:00Z",
    "csrf_token": "kYl0s9K1mS6pS0R4Jx1Jqj2hM0mJc2q2gk8cT8oFh1A",
}
_CREDENTIALS = {
    "type": "object",
    "required": ["username", "password"],
    "properties": {
        "username": {"type": "string", "minLength": 1, "maxLength": 256},
        "password": {"type": "string", "minLength": 1, "maxLength": MAX_PASSWORD_LENGTH},
    },
    "additionalProperties": False,
}


class _Credentials(msgspec.Struct, forbid_unknown_fields=True):
    username: str
    password: str


_decode = msgspec.json.Decoder(_Credentials).decode


async def sign_in(request: Request) -> Response:
    """Start a session and set its cookie."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem(Kind.UNSUPPORTED_MEDIA_TYPE)
    try:
        given = _decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(Kind.INVALID, "body: an object of username and password") from error
    if not (1 <= len(given.username) <= _most("username")) or not (
        1 <= len(given.password) <= _most("password")
    ):
        raise Problem(Kind.INVALID, "body: username or password is empty or too long")
    head = head_of(request.scope)
    signed_in = await services(request).sign_in.start(
        given.username, given.password, head, request.scope.get(REQUEST_ID_KEY)
    )
    response = JSONResponse(_signed_in(signed_in), headers=_NO_STORE)
    _set_cookie(response, head, head.cookie_names.session, signed_in.session_token)
    _set_cookie(
        response, head, head.cookie_names.browser, signed_in.browser_token, _BROWSER_KNOWN_S
    )
    return response


async def sign_out(request: Request) -> Response:
    """End the session."""
    principal: Principal = request.scope[PRINCIPAL_KEY]
    if principal.via != "session":
        raise Problem(Kind.NOT_ALLOWED, "an API token has no session; revoke the token instead")
    head = head_of(request.scope)
    await services(request).sign_in.end(principal.username, head, request.scope.get(REQUEST_ID_KEY))
    response = Response(status_code=204, headers=_NO_STORE)
    response.delete_cookie(
        head.cookie_names.session,
        secure=head.cookie_names.secure,
        httponly=True,
        samesite="strict",
    )
    return response


async def who_am_i(request: Request) -> Response:
    """Return who asks."""
    principal: Principal = request.scope[PRINCIPAL_KEY]
    cookie = head_of(request.scope).session_cookie
    body = {
        "username": principal.username,
        "role": principal.role,
        "via": principal.via,
        "scopes": sorted(principal.scopes),
        "expires_at": format_time(principal.expires_at),
        "csrf_token": csrf_token(cookie or "") if principal.via == "session" else None,
    }
    return JSONResponse(body, headers=_NO_STORE)


def _signed_in(signed_in: SignedIn) -> dict[str, Any]:
    return {
        "username": signed_in.username,
        "role": signed_in.role,
        "via": "session",
        "scopes": ["read", "write"],
        "expires_at": format_time(signed_in.expires_at),
        "csrf_token": csrf_token(signed_in.session_token),
    }


def _set_cookie(
    response: Response, head: RequestHead, name: str, value: str, age_s: int = LONGEST_SESSION_S
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=age_s,
        path="/",
        secure=head.cookie_names.secure,
        httponly=True,
        samesite="strict",
    )


def _most(name: str) -> int:
    most: int = _CREDENTIALS["properties"][name]["maxLength"]  # type: ignore[index] # a literal above
    return most


_COOKIE = "The session's cookie: `HttpOnly`, `SameSite=Strict`, and `__Host-`, `Secure` over HTTPS."
_PATH = "/api/v1/session"

SESSION_ROUTES = (
    Route(
        "POST",
        _PATH,
        sign_in,
        role="public",
        csrf=True,
        operation=Operation(
            operation_id="sign_in",
            tag="session",
            summary="Sign in",
            description="Starts a session of 30 minutes after its last use, 12 hours at most, with"
            " a new cookie; a session that the browser had ends. From the fifth failed attempt on,"
            " each doubles the time until the next is looked at (`Retry-After`).",
            success=(
                Success(200, "Signed in", _WHO, example=_EXAMPLE, headers={"Set-Cookie": _COOKIE}),
            ),
            problems=(
                Kind.WRONG_CREDENTIALS,
                Kind.CROSS_SITE,
                Kind.UNSUPPORTED_MEDIA_TYPE,
                Kind.INVALID,
                Kind.TOO_MANY_ATTEMPTS,
            ),
            body=_CREDENTIALS,
            body_example={"username": "anna", "password": "correct horse battery staple"},
        ),
    ),
    Route(
        "DELETE",
        _PATH,
        sign_out,
        role="viewer",
        csrf=True,
        operation=Operation(
            operation_id="sign_out",
            tag="session",
            summary="Sign out",
            description="Ends the session at once, on the server.",
            success=(Success(204, "Signed out", media_type=None),),
        ),
    ),
    Route(
        "GET",
        _PATH,
        who_am_i,
        role="viewer",
        operation=Operation(
            operation_id="who_am_i",
            tag="session",
            summary="Who am I",
            description="Says who asks and how, and gives the session's CSRF token.",
            success=(Success(200, "Who asks", _WHO, example=_EXAMPLE),),
        ),
    ),
)
