"""Every problem that the API answers with (RFC 9457), in one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import msgspec


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind of problem.

    Attributes:
        status: HTTP status.
        title: The same for every occurrence.
        retry_after_s: When to try again, where that is always the same.
    """

    status: int
    title: str
    retry_after_s: int | None = None


class Kind(Enum):
    """The closed list; the name, in lower case with hyphens, is the problem's type."""

    SIGN_IN_REQUIRED = ProblemKind(401, "Sign in, or send a valid API token")
    WRONG_CREDENTIALS = ProblemKind(401, "User name or password is wrong")
    NOT_ALLOWED = ProblemKind(403, "Your role or your token's scope does not allow this")
    CROSS_SITE = ProblemKind(403, "The request does not come from the portal's own pages")
    NOT_FOUND = ProblemKind(404, "There is no such thing here")
    METHOD_NOT_ALLOWED = ProblemKind(405, "This address does not know the method")
    CONFLICT = ProblemKind(409, "The present state does not allow this")
    BODY_TOO_LARGE = ProblemKind(413, "The body is too large")
    UNSUPPORTED_MEDIA_TYPE = ProblemKind(415, "The body must be application/json")
    INVALID = ProblemKind(422, "A parameter or the body is not valid")
    IDEMPOTENCY_KEY_REUSED = ProblemKind(422, "The Idempotency-Key was used for another request")
    TOO_MANY_ATTEMPTS = ProblemKind(429, "Too many failed sign-ins; wait before the next")
    TOO_MANY_REQUESTS = ProblemKind(429, "Too many requests from this address")
    INTERNAL = ProblemKind(500, "The service has failed")
    UNAVAILABLE = ProblemKind(503, "The service is not available now", retry_after_s=1)
    TIMEOUT = ProblemKind(503, "The request took too long", retry_after_s=1)

    @property
    def slug(self) -> str:
        """The last part of the type's URI."""
        return self.name.lower().replace("_", "-")


class Problem(Exception):
    """Ends a request with a problem.

    Args:
        kind: From the table.
        detail: What a caller can do about this occurrence; nothing from inside.
        headers: Sent with it.
    """

    def __init__(
        self, kind: Kind, detail: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(kind.slug)
        self.kind = kind
        self.detail = detail
        retry_s = kind.value.retry_after_s
        always = {} if retry_s is None else {"Retry-After": str(retry_s)}
        self.headers: Mapping[str, str] = {**always, **(headers or {})}

    def body(self) -> bytes:
        """Return the JSON of the problem."""
        members: dict[str, object] = {
            "type": f"urn:plumbline:problem:{self.kind.slug}",
            "title": self.kind.value.title,
            "status": self.kind.value.status,
        }
        if self.detail:
            members["detail"] = self.detail
        return msgspec.json.encode(members)


MEDIA_TYPE = "application/problem+json"
