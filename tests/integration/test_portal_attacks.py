"""Attacks on a running portal, each as a test of its own."""

import json
import re
import socket
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from plumbline.portal.guard import SAFE_METHODS
from plumbline.portal.route import Route
from plumbline.portal.routes import ROUTES
from portal_process import Answer, PortalProcess

_MEBIBYTE = 1_048_576
_READS = [route for route in ROUTES if route.method == "GET" and route.operation is not None]
_CHANGES = [route for route in ROUTES if route.method not in SAFE_METHODS]


@pytest.fixture
def portal(module_portal: PortalProcess) -> PortalProcess:
    """Return the module's portal."""
    return module_portal


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def path_of(route: Route, value: str = "tower") -> str:
    return re.sub(r"\{\w+\}", value, route.path)


def raw(portal: PortalProcess, request: bytes, timeout_s: float = 20) -> bytes:
    """Send bytes as they are; return what comes until the connection closes or is silent."""
    with socket.create_connection(("127.0.0.1", portal.port), timeout_s) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while block := connection.recv(65_536):
                answer += block
                if b"\r\n\r\n" in answer and b"connection: close" not in request.lower():
                    break
        except ConnectionResetError:
            pass
        return answer


# --- SQL injection --------------------------------------------------------------------------

_INJECTIONS = (
    "'",
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    '" OR ""="',
    "1); SELECT pg_sleep(5); --",
    "' UNION SELECT password_hash FROM users --",
    "$$; SELECT 1; $$",
    "%(after)s",
    "%s",
    "\\",
    "\0",
    "timestamp DESC; DELETE FROM audit_log",
)


@pytest.mark.parametrize("route", _READS, ids=name_of)
def test_sql_in_any_parameter_is_text(portal: PortalProcess, route: Route) -> None:
    """Filters, sort orders, cursors, times and ids: all parameters that the table documents."""
    client = portal.signed_in("admin")
    assert route.operation is not None
    names = [p.name for p in route.operation.parameters if p.place == "query"]
    began = time.monotonic()
    for injection in _INJECTIONS:
        for name in [*names, "sort", "order", "id"]:
            answer = client.get(f"{path_of(route)}?{name}={quote(injection)}")
            assert answer.status < 500, (name, injection, answer)
            assert b"argon2" not in answer.body
            assert b"syntax" not in answer.body
        if "{" in route.path:
            assert client.get(path_of(route, quote(injection, safe=""))).status in {400, 404, 422}
    assert time.monotonic() - began < 60  # nobody slept
    assert client.get("/api/v1/session").status == 200
    with psycopg.connect(portal.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM audit_log").fetchone()
    assert row is not None
    assert row[0] > 0


def test_a_search_for_sql_or_wildcards_finds_nothing(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer")
    assert len(client.get("/api/v1/devices?search=tow").json()["items"]) == 1
    for search in ("' OR '1'='1", "%", "_", "t%r", ".*", "tower' --"):
        answer = client.get(f"/api/v1/devices?search={quote(search)}")
        assert (answer.status, answer.json()["items"]) == (200, [])


# --- sessions -------------------------------------------------------------------------------


def test_a_session_that_somebody_planted_is_not_the_victims(portal: PortalProcess) -> None:
    """Session fixation: neither a made-up token nor the attacker's own survives a sign-in."""
    portal.signed_in("admin", "victim")
    attacker = portal.signed_in("viewer", "mallory")
    for planted in ("A" * 43, attacker.cookies["plumbline-session"]):
        browser = portal.client(cookies={"plumbline-session": planted})
        assert browser.sign_in("victim").status == 200
        assert browser.cookies["plumbline-session"] != planted
        thief = portal.client(cookies={"plumbline-session": planted})
        assert thief.get("/api/v1/session").status == 401


def test_every_sign_in_has_another_session_and_csrf_token(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer")
    seen = {(client.cookies["plumbline-session"], client.csrf_token)}
    for _ in range(3):
        assert client.sign_in("viewer").status == 200
        seen.add((client.cookies["plumbline-session"], client.csrf_token))
    assert len({cookie for cookie, _ in seen}) == len({token for _, token in seen}) == 4


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_cannot_act_in_the_victims_name(
    portal: PortalProcess, headers: dict[str, str]
) -> None:
    """CSRF: with the cookie alone, and even with the token."""
    client = portal.signed_in("admin")
    for csrf in (False, True):
        for route in _CHANGES:
            answer = client.request(
                route.method, path_of(route), json_body={}, headers=headers, csrf=csrf
            )
            assert answer.status == 403, (route.path, answer)
    assert client.get("/api/v1/session").status == 200  # not signed out either


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_form_of_another_site_cannot_sign_anybody_in(
    portal: PortalProcess, content_type: str
) -> None:
    """A form cannot send JSON: whatever else it sends is refused before it is read."""
    portal.signed_in("viewer", "mallory")
    body = b'{"username":"mallory","password":"correct horse battery staple"}'
    answer = portal.client().request(
        "POST", "/api/v1/session", body=body, headers={"Content-Type": content_type}
    )
    assert answer.status == 415
    assert answer.header("set-cookie") is None


def test_no_answer_lets_another_origin_read_it(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer")
    answer = client.get("/api/v1/devices", headers={"Origin": "https://evil.example"})
    assert answer.header("access-control-allow-origin") is None
    assert answer.header("cross-origin-resource-policy") == "same-origin"


# --- paths, headers, logs -------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/docs/../../../../etc/passwd",
        "/docs/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/docs/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/docs/..%5c..%5cetc%5cpasswd",
        "/docs/..%252f..%252fetc%252fpasswd",
        "/docs//etc/passwd",
        "/docs/%2fetc%2fpasswd",
        "/docs/index.html%00.js",
        "/api/v1/devices/..%2f..%2fetc%2fpasswd",
        "/api/v1/devices/../session",
        "/api/v1/devices/%c0%ae%c0%ae%2fetc%2fpasswd",
    ],
)
def test_no_path_leaves_what_is_served(portal: PortalProcess, path: str) -> None:
    token = portal.api_token("admin", "read")
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        "Connection: close\r\n\r\n"
    )
    answer = raw(portal, request.encode())
    assert answer.split(b" ", 2)[1] in {b"400", b"404", b"422"}, answer[:200]
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "value", ["x\r\nSet-Cookie: evil=1", "x\nSet-Cookie: evil=1", "\u560d\u560aSet-Cookie: evil=1"]
)
def test_nothing_that_is_sent_becomes_a_header_of_the_answer(
    portal: PortalProcess, value: str
) -> None:
    client = portal.signed_in("admin")
    for path in (
        f"/api/v1/devices/{quote(value, safe='')}",
        f"/api/v1/devices?search={quote(value)}&limit=1",
        f"/api/v1/devices?cursor={quote(value)}",
        f"/api/v1/devices/{quote(value, safe='')}/readings.csv",
        f"/{quote(value)}",
    ):
        answer = client.get(path)
        assert answer.status < 500
        assert not [h for h in answer.headers if "evil" in h[0] + h[1] and h[0] != "link"]
        assert answer.header("set-cookie") is None


@pytest.mark.parametrize("given", ["short", "x" * 129, "a b c d e f", "<script>alert(1)</script>"])
def test_a_request_id_that_is_not_plain_is_replaced(portal: PortalProcess, given: str) -> None:
    answer = portal.client().get("/health", headers={"X-Request-Id": given})
    assert re.fullmatch("[0-9a-f]{8,}", answer.header("x-request-id") or "")


def test_nobody_writes_lines_of_their_own_into_the_log(portal: PortalProcess) -> None:
    client = portal.signed_in("admin")
    forged = 'x\r\n{"event":"forged"}\n\x1b[31mforged\u2028forged'
    client.get(f"/{quote(forged)}")
    client.get(f"/api/v1/devices/{quote(forged, safe='')}")
    client.get(f"/api/v1/devices?search={quote(forged)}")
    client.get("/health", headers={"User-Agent": "x\tforged", "X-Request-Id": "forged\tforged"})
    portal.client(address="127.0.0.9").sign_in(forged)
    portal.__exit__()  # all that it writes is written
    portal.__enter__()
    assert "forged" in portal.log
    for line in portal.log.split("\n"):
        assert not line.startswith(('{"event":"forged"', "forged"))
        assert "\x1b" not in line
        if line.startswith("{"):
            assert json.loads(line)["event"] != "forged"


def test_no_secret_reaches_the_log(portal: PortalProcess) -> None:
    client = portal.signed_in("admin")
    secret = portal.api_token("admin", "read")
    portal.client(headers={"Authorization": f"Bearer {secret}"}).get("/api/v1/devices")
    portal.client(address="127.0.0.10").sign_in("admin", "the wrong but telling password")
    client.get("/api/v1/devices?search=what-somebody-looks-for")
    client.sign_out()
    portal.__exit__()  # all that it writes is written
    try:
        log = portal.log
        assert "/api/v1/session" in log
        for found in (
            secret,
            "telling password",
            "correct horse",
            client.csrf_token or "-",
            "what-somebody-looks-for",
        ):
            assert found not in log
    finally:
        portal.__enter__()


# --- size and time --------------------------------------------------------------------------


@pytest.mark.parametrize("route", _CHANGES, ids=name_of)
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_a_megabyte_is_refused(portal: PortalProcess, route: Route, *, chunked: bool) -> None:
    token = portal.api_token("admin", "read", "write")
    head = (
        f"{route.method} {path_of(route)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        "Idempotency-Key: 00000000-0000-4000-8000-000000000000\r\nConnection: close\r\n"
    ).encode()
    body = b'{"username":"' + b"x" * _MEBIBYTE + b'"}'
    if chunked:
        framed = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    else:
        framed = b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    try:
        answer = raw(portal, head + framed)
    except (BrokenPipeError, ConnectionResetError):  # it did not even read it
        answer = b""
    # What announces no length and is never read may also be answered for what else it is.
    read = route.operation is not None and route.operation.body is not None
    refused = {b"413"} if read or not chunked else {b"403", b"404", b"413"}
    assert answer == b"" or answer.split(b" ", 2)[1] in refused, answer[:300]
    assert portal.client().get("/health").status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"username":"\xff\xfe","password":"x"}',
        b'{"username":"\\ud800","password":"x"}',
        b'{"username":"a","password":' + b"9" * 50_000 + b"}",
        b'{"username":1e999,"password":"x"}',
        b"",
        b"null",
        b"NaN",
        b"\0",
    ],
)
@pytest.mark.parametrize("route", _CHANGES, ids=name_of)
def test_a_body_that_is_no_request_breaks_nothing(
    portal: PortalProcess, route: Route, body: bytes
) -> None:
    secret = portal.api_token("admin", "read", "write")
    client = portal.client(headers={"Authorization": f"Bearer {secret}"})
    answer = client.request(
        route.method, path_of(route), body=body, headers={"Content-Type": "application/json"}
    )
    assert 400 <= answer.status < 500, answer


def test_long_heads_are_refused_without_harm(portal: PortalProcess) -> None:
    bearer = f"Authorization: Bearer {portal.api_token('admin', 'read')}\r\n"
    for head in (
        f"GET /{'x' * 100_000} HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        f"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {'x' * 1_000_000}\r\n",
        "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n" + "X: y\r\n" * 5_000,
        f"GET /api/v1/devices?search={'x' * 50_000} HTTP/1.1\r\nHost: 127.0.0.1\r\n{bearer}",
    ):
        try:
            answer = raw(portal, head.encode() + b"Connection: close\r\n\r\n")
        except BrokenPipeError:
            continue
        assert answer == b"" or answer.split(b" ", 2)[1].startswith(b"4"), answer[:200]
    assert portal.client().get("/health").status == 200


def test_a_body_that_never_comes_is_not_waited_for(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {"PORTAL_REQUEST_TIMEOUT_S": "1"}
    with PortalProcess(database_url, redis_url, tmp_path / "log", settings) as running:
        head = (
            b"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
        )
        began = time.monotonic()
        answer = raw(running, head)
        assert time.monotonic() - began < 10
        assert answer.split(b" ", 2)[1] == b"503"


# --- what strangers learn -------------------------------------------------------------------


def test_every_answer_carries_the_security_headers(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer")
    answers: list[Answer] = [
        client.get("/health"),
        client.get("/api/v1/devices"),
        client.get("/nothing/here"),
        client.get("/docs"),
        client.request("POST", "/api/v1/session", body=b"?"),
    ]
    for answer in answers:
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("x-frame-options") == "DENY"
        assert answer.header("referrer-policy") == "same-origin"
        assert "frame-ancestors 'none'" in (answer.header("content-security-policy") or "")
        assert answer.header("cache-control")
        assert answer.header("server") == "plumbline"
        assert answer.header("strict-transport-security") is None  # plain HTTP


def test_strict_transport_security_is_announced_over_https(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    settings = {"PORTAL_TRUSTED_PROXIES": "1"}
    with PortalProcess(database_url, redis_url, tmp_path / "log", settings) as running:
        answer = running.client().get("/health", headers={"X-Forwarded-Proto": "https"})
    assert answer.header("strict-transport-security") == "max-age=31536000"


def test_errors_and_health_tell_strangers_nothing(portal: PortalProcess) -> None:
    client = portal.client()
    for path in ("/health", "/nothing", "/api/v1/devices", "/api/v1/devices/tower"):
        answer = client.get(path)
        for word in (b"postgres", b"redis", b"Traceback", b"plumbline/", b"/usr", b"granian"):
            assert word not in answer.body.lower(), (path, answer.body)
    assert set(client.get("/health").json()) == {"status"}
    there, not_there = client.get("/api/v1/devices/tower"), client.get("/api/v1/devices/nothing")
    assert (there.status, there.body) == (not_there.status, not_there.body)
