"""What the head of a request says of where it comes from."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import msgspec
from starlette.types import Scope

HEAD_KEY = "plumbline.head"
"""Where the application puts the head, before all else."""

_UNKNOWN_ADDRESS = "unknown"
_LONGEST_HOST = 255


@dataclass(frozen=True, slots=True)
class CookieNames:
    """Names of our cookies; ``__Host-`` binds a cookie to HTTPS and to this very host."""

    session: str
    browser: str
    secure: bool


SECURE = CookieNames("__Host-plumbline-session", "__Host-plumbline-browser", secure=True)
LOOPBACK = CookieNames("plumbline-session", "plumbline-browser", secure=False)


class RequestHead(msgspec.Struct, frozen=True):
    """The parts of a request's head that decide about trust.

    Attributes:
        method: In capitals.
        host: The Host header, or empty.
        scheme: ``http`` or ``https``, as the client used it.
        address: The client's; IPv6 as it is.
        headers: First value by name in small letters, as bytes: most are never looked at.
        cookie_names: Those that count for this request.
    """

    method: str
    host: str
    scheme: str
    address: str
    headers: Mapping[bytes, bytes]
    cookie_names: CookieNames

    @property
    def subject(self) -> str:
        """Who is counted as one: an IPv4 address, or an IPv6 network of 64 bits."""
        return _subject(self.address)

    @property
    def session_cookie(self) -> str | None:
        """The session's token, or None."""
        return self._cookie(self.cookie_names.session)

    @property
    def browser_cookie(self) -> str | None:
        """What a browser was given at an earlier sign-in, or None."""
        return self._cookie(self.cookie_names.browser)

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in small letters."""
        value = self.headers.get(name.encode())
        return None if value is None else value.decode("latin-1")

    def _cookie(self, name: str) -> str | None:
        for pair in (self.header("cookie") or "").split(";"):
            found, _, value = pair.strip(" ").partition("=")
            if found == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class HeadReader:
    """Reads heads.

    Args:
        trusted_proxies: How many proxies stand before us, each of which appends the address of
            its client to X-Forwarded-For; 0 believes no forwarded header.
        loopback_cookie: Whether plain HTTP to a loopback name gets cookies without ``Secure``.
    """

    trusted_proxies: int
    loopback_cookie: bool

    def read(self, scope: Scope) -> RequestHead:
        """Return the head of an HTTP request."""
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        host = headers.get(b"host", b"").decode("latin-1")
        scheme = self._scheme(scope, headers)
        plain = (
            self.loopback_cookie
            and scheme == "http"
            and len(host) <= _LONGEST_HOST
            and _is_loopback(host)
        )
        return RequestHead(
            method=scope["method"],
            host=host,
            scheme=scheme,
            address=self._address(scope),
            headers=headers,
            cookie_names=LOOPBACK if plain else SECURE,
        )

    def _scheme(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        forwarded = headers.get(b"x-forwarded-proto") if self.trusted_proxies else None
        if forwarded in {b"http", b"https"}:
            return forwarded.decode()
        scheme: str = scope["scheme"]
        return scheme

    def _address(self, scope: Scope) -> str:
        client = scope.get("client")
        peer: str = client[0] if client else _UNKNOWN_ADDRESS
        if not self.trusted_proxies:
            return peer
        # All of them, in order: a client's own header comes before what proxies append.
        chain = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        addresses = [part.strip() for part in chain.decode("latin-1").split(",")]
        if len(addresses) < self.trusted_proxies:
            return peer
        try:
            return str(ipaddress.ip_address(addresses[-self.trusted_proxies]))
        except ValueError:
            return peer


def head_of(scope: Scope) -> RequestHead:
    """Return the head that the application has read."""
    head: RequestHead = scope[HEAD_KEY]
    return head


# Both are asked of few values many times, and slow.


@lru_cache(maxsize=4096)
def _subject(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


@lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
