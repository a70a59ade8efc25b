"""Every route of the table, and every way to ask: who gets in, and who does not.

What each route should ask for stands here a second time: a route without an entry fails, and so
does one that was opened to more than it should be.
"""

import re
from typing import LiteralString

import psycopg
import pytest

from plumbline.domain.account import Role
from plumbline.local.servers.postgres import PostgresServer
from plumbline.local.servers.redis import RedisServer
from plumbline.portal.csrf import csrf_token
from plumbline.portal.guard import SAFE_METHODS
from plumbline.portal.route import Route, RouteRole
from plumbline.portal.routes import ROUTES
from portal_process import Answer, Client, PortalProcess

_REFUSED = {401, 403}
_VALUES = {"device_id": "tower", "command_id": "00000000-0000-4000-8000-000000000000"}
_AGEING: tuple[LiteralString, ...] = (
    """UPDATE sessions SET expires_at = now()
        FROM users u WHERE u.id = user_id AND u.username = 'expired'""",
    """UPDATE sessions SET last_seen_at = now() - interval '1 hour'
        FROM users u WHERE u.id = user_id AND u.username = 'idle'""",
    """UPDATE api_tokens SET expires_at = now()
        FROM users u WHERE u.id = user_id AND u.username = 'token-expired'""",
)
_LEAST_ROLES: dict[str, RouteRole] = {
    "GET /health": "public",
    "GET /api/openapi.json": "public",
    "GET /": "public",
    "GET /docs": "public",
    "GET /docs/{asset}": "public",
    "POST /api/v1/session": "public",
    "GET /api/v1/session": "viewer",
    "DELETE /api/v1/session": "viewer",
    "GET /api/v1/devices": "viewer",
    "GET /api/v1/devices/{device_id}": "viewer",
    "GET /api/v1/devices/{device_id}/status": "viewer",
    "GET /api/v1/devices/{device_id}/readings": "viewer",
    "GET /api/v1/devices/{device_id}/series": "viewer",
    "GET /api/v1/devices/{device_id}/readings.csv": "viewer",
    "GET /api/v1/devices/{device_id}/readings.parquet": "viewer",
    "GET /api/v1/devices/{device_id}/commands": "viewer",
    "POST /api/v1/devices/{device_id}/commands": "operator",
    "GET /api/v1/commands/{command_id}": "viewer",
    "POST /api/v1/commands/{command_id}/cancel": "operator",
    "GET /api/v1/stats": "viewer",
    "GET /api/v1/quarantine": "viewer",
    "GET /api/v1/ledger": "viewer",
}


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.fixture
def portal(module_portal: PortalProcess) -> PortalProcess:
    """Return the module's portal."""
    return module_portal


def path_of(route: Route) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: _VALUES.get(match[1], "x"), route.path)


def ask(
    client: Client, route: Route, headers: dict[str, str] | None = None, *, csrf: bool = True
) -> Answer:
    """Send what is right but for who asks; whether the route then finds it valid is its affair."""
    body = b"{}" if route.method not in SAFE_METHODS else None
    sent = ({"Content-Type": "application/json"} if body else {}) | (headers or {})
    answer = client.request(route.method, path_of(route), body=body, headers=sent, csrf=csrf)
    assert answer.status < 500, (route.method, route.path, answer)
    return answer


def test_every_route_asks_for_the_role_that_it_should() -> None:
    assert {name_of(route): route.role for route in ROUTES} == _LEAST_ROLES


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_route(portal: PortalProcess, route: Route) -> None:
    """One process serves all cases of a route."""
    least_role = _LEAST_ROLES[name_of(route)]
    if least_role == "public":
        for client in (portal.client(), portal.signed_in("viewer")):
            assert ask(client, route).status not in {401, 403}
        return
    for name, stranger in strangers(portal).items():
        assert ask(stranger, route).status == 401, name
    for role in Role:
        allowed = role.includes(Role(least_role))
        client = portal.signed_in(role)
        if route.method not in SAFE_METHODS:
            for forged in (None, csrf_token("another's session"), (client.csrf_token or "")[::-1]):
                headers = {} if forged is None else {"X-CSRF-Token": forged}
                assert ask(client, route, csrf=False, headers=headers).status == 403
            elsewhere = ask(client, route, headers={"Origin": "https://elsewhere.example"})
            assert elsewhere.status == 403
        by_session = ask(client, route).status
        assert (by_session not in _REFUSED) == allowed, (role, by_session)
        by_token = ask(bearer(portal, role, "read", "write"), route).status
        if not (route.path.endswith("/session") and route.method == "DELETE"):
            assert (by_token not in _REFUSED) == allowed, (role, by_token)
        other = "read" if route.method not in SAFE_METHODS else "write"
        assert ask(bearer(portal, role, other), route).status == 403


def bearer(portal: PortalProcess, role: Role, *scopes: str) -> Client:
    return portal.client(headers={"Authorization": f"Bearer {portal.api_token(role, *scopes)}"})


def strangers(portal: PortalProcess) -> dict[str, Client]:
    """Return clients that must not get in, by what is wrong with them."""
    found = {"nobody": portal.client()}
    for name in ("signed out", "expired", "idle", "disabled"):
        found[f"session {name}"] = portal.signed_in("admin", name.replace(" ", "-"))
    for name in ("revoked", "expired", "disabled"):
        secret = portal.api_token("admin", "read", "write", username=f"token-{name}")
        found[f"token {name}"] = portal.client(headers={"Authorization": f"Bearer {secret}"})
    kept = dict(found["session signed out"].cookies)
    found["session signed out"].sign_out()
    found["session signed out"].cookies = kept
    with psycopg.connect(portal.database_url, autocommit=True) as connection:
        for statement in _AGEING:
            assert connection.execute(statement).rowcount > 0
    portal.accounts.disable("disabled")
    portal.accounts.disable("token-disabled")
    for token in portal.accounts.tokens():
        if token.username == "token-revoked":
            portal.accounts.revoke_token(token.token_id)
    random = "A" * 43
    found["cookie of nobody"] = portal.client(cookies={"plumbline-session": random})
    found["cookie of another kind"] = portal.client(
        cookies={"__Host-plumbline-session": portal.signed_in("admin").cookies["plumbline-session"]}
    )
    for authorization in (
        f"Bearer plb_{random}",
        f"Bearer {random}",
        "Bearer ",
        "Basic YWRtaW46YWRtaW4=",
    ):
        found[authorization] = portal.client(headers={"Authorization": authorization})
    return found


def test_the_table_asks_for_csrf_tokens_where_something_changes() -> None:
    for route in ROUTES:
        assert route.csrf == (route.method not in SAFE_METHODS), route.path


def test_no_route_is_reached_around_the_guard(portal: PortalProcess) -> None:
    """Other methods and other spellings of a path are no way in."""
    client = portal.client()
    for route in ROUTES:
        if route.role == "public":
            continue
        path = path_of(route)
        for method in ("HEAD", "OPTIONS", "TRACE", "PATCH", "PUT", "DELETE", "POST", "GET"):
            assert client.request(method, path).status in {401, 405, 415, 422, 413, 404}
        for spelling in (f"/{path}", f"{path}/", path.upper(), f"{path}%00", f"{path};x=1", "/."):
            assert client.get(spelling).status in {400, 401, 404}, spelling


def test_neither_store_answering_lets_nobody_in(
    portal: PortalProcess, postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    client = portal.signed_in("admin")
    redis_server.stop()
    postgres_server.stop()
    try:
        answer = client.get("/api/v1/devices")
        assert answer.status == 503
        assert answer.header("content-type") == "application/problem+json"
    finally:
        postgres_server.start()
        redis_server.start()
        postgres_server.wait_ready(60)
        redis_server.wait_ready(60)
