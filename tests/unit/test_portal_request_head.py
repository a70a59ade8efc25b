"""Whom a request is taken to come from, and which cookies count for it."""

from typing import Any

import pytest

from plumbline.portal.csrf import csrf_token, require_csrf_token, require_own_origin
from plumbline.portal.problems import Problem
from plumbline.portal.request_head import LOOPBACK, SECURE, HeadReader, RequestHead


def head(
    *headers: tuple[str, str],
    proxies: int = 0,
    loopback: bool = False,
    peer: str = "192.0.2.1",
    scheme: str = "http",
) -> RequestHead:
    """Read a head as a server hands it over."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "scheme": scheme,
        "client": (peer, 50_000),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    return HeadReader(proxies, loopback).read(scope)


def test_forwarded_headers_of_strangers_are_not_believed() -> None:
    found = head(("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-Proto", "https"))
    assert (found.address, found.scheme) == ("192.0.2.1", "http")


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        (["198.51.100.7"], "198.51.100.7"),
        (["10.9.9.9, 198.51.100.7"], "198.51.100.7"),  # the client's own header comes first
        (["10.9.9.9", "198.51.100.7"], "198.51.100.7"),
        (["10.9.9.9, not an address"], "192.0.2.1"),
        ([], "192.0.2.1"),
    ],
)
def test_one_proxy_appends_the_address_that_counts(chain: list[str], address: str) -> None:
    assert head(*(("X-Forwarded-For", one) for one in chain), proxies=1).address == address


def test_with_two_proxies_the_last_but_one_counts() -> None:
    forwarded = ("X-Forwarded-For", "10.9.9.9, 198.51.100.7, 203.0.113.5")
    assert head(forwarded, proxies=2).address == "198.51.100.7"
    assert head(("X-Forwarded-For", "203.0.113.5"), proxies=2).address == "192.0.2.1"


def test_an_ipv6_network_is_counted_as_one() -> None:
    assert head(peer="2001:db8:1:2:aaaa::1").subject == head(peer="2001:db8:1:2:bbbb::2").subject
    assert head(peer="2001:db8:1:3::1").subject != head(peer="2001:db8:1:2::1").subject
    assert head(peer="::ffff:192.0.2.1").subject == "192.0.2.1"


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "127.1.2.3:80", "[::1]:8080"])
def test_plain_cookies_are_for_loopback_where_that_is_set(host: str) -> None:
    assert head(("Host", host), loopback=True).cookie_names is LOOPBACK
    assert head(("Host", host)).cookie_names is SECURE
    assert head(("Host", host), loopback=True, scheme="https").cookie_names is SECURE


@pytest.mark.parametrize(
    "host", ["portal.example", "localhost.example:8080", "127.0.0.1.example", "10.0.0.1", ""]
)
def test_no_other_host_gets_plain_cookies(host: str) -> None:
    assert head(("Host", host), loopback=True).cookie_names is SECURE


def test_a_cookie_is_found_among_strange_neighbours() -> None:
    cookie = 'a="x;y"; =; {"j":1}; __Host-plumbline-session=token; plumbline-session=other'
    assert head(("Cookie", cookie)).session_cookie == "token"
    assert head(("Cookie", "x__Host-plumbline-session=token")).session_cookie is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Origin", "https://portal.example")],
        [("Origin", "https://portal.example"), ("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "none")],
    ],
)
def test_our_own_pages_pass(headers: list[tuple[str, str]]) -> None:
    require_own_origin(head(("Host", "portal.example"), *headers), None)


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", "https://evil.example")],
        [("Origin", "https://portal.example.evil.example")],
        [("Origin", "https://evilportal.example")],
        [("Origin", "https://evil.portal.example")],
        [("Origin", "https://portal.example:8443")],
        [("Origin", "null")],
        [("Origin", "")],
        [("Origin", "https://[")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Origin", "https://portal.example"), ("Sec-Fetch-Site", "cross-site")],
    ],
)
def test_pages_of_others_do_not_pass(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(Problem):
        require_own_origin(head(("Host", "portal.example"), *headers), None)


def test_behind_a_proxy_the_configured_origin_counts() -> None:
    internal = ("Host", "10.0.1.7:8080")
    origin = "https://portal.example"
    require_own_origin(head(internal, ("Origin", origin)), origin)
    with pytest.raises(Problem):
        require_own_origin(head(internal, ("Origin", "https://10.0.1.7:8080")), origin)


def test_only_the_sessions_own_csrf_token_passes() -> None:
    cookie = ("Cookie", "__Host-plumbline-session=mine")
    require_csrf_token(head(cookie, ("X-CSRF-Token", csrf_token("mine"))))
    for headers in (
        [cookie],
        [cookie, ("X-CSRF-Token", "")],
        [cookie, ("X-CSRF-Token", csrf_token("another's"))],
        [cookie, ("X-CSRF-Token", "ü")],
        [("X-CSRF-Token", csrf_token(""))],
    ):
        with pytest.raises(Problem):
            require_csrf_token(head(*headers))
