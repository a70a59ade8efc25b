"""Whether a request comes from the portal's own pages."""

import base64
import hashlib
import hmac
from urllib.parse import urlsplit

from plumbline.portal.problems import Kind, Problem
from plumbline.portal.request_head import RequestHead

HEADER = "x-csrf-token"


def csrf_token(session_token: str) -> str:
    """Return the token that goes with the session; who has one cannot make the other of it."""
    digest = hmac.digest(session_token.encode(), b"plumbline csrf", hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def require_csrf_token(head: RequestHead) -> None:
    """Refuse a request whose X-CSRF-Token is not its session's.

    Raises:
        Problem: It is missing or another's.
    """
    session, given = head.session_cookie, head.header(HEADER)
    if (
        session is None
        or given is None
        or not hmac.compare_digest(given.encode(), csrf_token(session).encode())
    ):
        raise Problem(Kind.CROSS_SITE, "X-CSRF-Token is missing or not this session's")


def require_own_origin(head: RequestHead, public_origin: str | None) -> None:
    """Refuse what a browser says comes from another site.

    Args:
        head: Of the request.
        public_origin: ``https://host[:port]`` under which browsers know the portal; without it
            the Host header counts.

    Raises:
        Problem: Sec-Fetch-Site or Origin name another site. Clients that send neither pass: they
            are no browsers, and carry no cookies of somebody else.
    """
    if head.header("sec-fetch-site") not in {None, "same-origin", "none"}:
        raise Problem(Kind.CROSS_SITE)
    origin = head.header("origin")
    if origin is None:
        return
    if public_origin is not None:
        own = origin == public_origin
    else:
        try:
            own = urlsplit(origin).netloc.lower() == head.host.lower() != ""
        except ValueError:
            own = False
    if not own:
        raise Problem(Kind.CROSS_SITE)
