"""Who asks, and whether the route lets them: the one place that decides it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from starlette.types import Scope as AsgiScope

from plumbline.domain.account import Role, Scope
from plumbline.portal.csrf import require_csrf_token, require_own_origin
from plumbline.portal.problems import Kind, Problem
from plumbline.portal.request_head import RequestHead, head_of
from plumbline.portal.route import RouteRole

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="plumbline"'}
_CHALLENGE_INVALID = {"WWW-Authenticate": 'Bearer realm="plumbline", error="invalid_token"'}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Attributes:
        user_id: Of the table ``users``.
        username: Of that user.
        role: Of that user, now.
        scopes: Of the token; a session has all.
        via: How they have proved it.
        expires_at: When session or token end at the latest, aware UTC.
    """

    user_id: int
    username: str
    role: Role
    scopes: frozenset[Scope]
    via: Literal["session", "token"]
    expires_at: datetime


class Credentials(Protocol):
    """Where sessions and API tokens are looked up."""

    async def session(self, token: str) -> Principal | None:
        """Return who holds the live session; a session is kept alive by this."""
        ...

    async def api_token(self, token: str) -> Principal | None:
        """Return who holds the live API token."""
        ...

    def known_session(self, token: str) -> Principal | None:
        """Return what ``session`` would, where nobody need be asked for it."""
        ...

    def known_api_token(self, token: str) -> Principal | None:
        """Return what ``api_token`` would, where nobody need be asked for it."""
        ...


class Guarded(Protocol):
    """What the route table says of a route to the guard."""

    @property
    def role(self) -> RouteRole:
        """The least role that may use it; ``public`` for everybody."""
        ...

    @property
    def csrf(self) -> bool:
        """Whether a request with a session cookie must prove that it comes from our pages."""
        ...


class Guard:
    """Lets requests through, or ends them with a problem.

    Args:
        credentials: Sessions and tokens.
        public_origin: See ``csrf.require_own_origin``.
    """

    def __init__(self, credentials: Credentials, public_origin: str | None = None) -> None:
        self._credentials = credentials
        self._public_origin = public_origin

    async def admit(self, scope: AsgiScope, route: Guarded) -> Principal | None:
        """Return who asks, where the route lets them; None at public routes.

        A bearer token counts alone: cookies beside it are not looked at. What changes something
        with a cookie needs the CSRF token whatever the table says.

        Raises:
            Problem: 401 without valid credentials; 403 without the role, scope or CSRF token.
            StoreUnavailable: Neither cache nor database answer.
        """
        head = head_of(scope)
        changes = head.method not in SAFE_METHODS
        if route.role == "public":
            if changes or route.csrf:
                require_own_origin(head, self._public_origin)
            return None
        principal = await self._identify(head)
        self._require(principal, head, route)
        return principal

    def admit_known(self, head: RequestHead, route: Guarded) -> Principal | None:
        """Return who asks, where that is at hand and the route lets them; else None."""
        authorization = head.header("authorization")
        if authorization is not None:
            principal = self._credentials.known_api_token(_bearer(authorization))
        else:
            principal = self._credentials.known_session(head.session_cookie or "")
        if principal is None:
            return None
        try:
            self._require(principal, head, route)
        except Problem:
            return None
        return principal

    def _require(self, principal: Principal, head: RequestHead, route: Guarded) -> None:
        changes = head.method not in SAFE_METHODS
        if principal.via == "session" and (changes or route.csrf):
            require_own_origin(head, self._public_origin)
            require_csrf_token(head)
        needed = Scope.WRITE if changes else Scope.READ
        if needed not in principal.scopes:
            raise Problem(Kind.NOT_ALLOWED, f"the API token has not the scope {needed}")
        if not principal.role.includes(Role(route.role)):
            raise Problem(Kind.NOT_ALLOWED, f"this needs the role {route.role}")

    async def _identify(self, head: RequestHead) -> Principal:
        authorization = head.header("authorization")
        if authorization is not None:
            found = await self._credentials.api_token(_bearer(authorization))
            if found is None:
                raise Problem(Kind.SIGN_IN_REQUIRED, headers=_CHALLENGE_INVALID)
            return found
        cookie = head.session_cookie
        found = None if cookie is None else await self._credentials.session(cookie)
        if found is None:
            raise Problem(Kind.SIGN_IN_REQUIRED, headers=_CHALLENGE)
        return found


def _bearer(authorization: str) -> str:
    """Return the token of an Authorization header; empty, which nobody has, of any other."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
