"""Sessions and API tokens of a running portal."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis

from plumbline.adapters.redis_credentials import RedisCredentialCache
from plumbline.adapters.redis_entries import RECHECK_S, REVOKED, SESSION_IDLE_S, session_key
from plumbline.domain.account import Role
from plumbline.local.servers.redis import RedisServer
from plumbline.portal.credentials import token_hash
from plumbline.ports import Revoked
from portal_process import PASSWORD, Client, PortalProcess, open_accounts

_ME = "/api/v1/session"


@pytest.fixture
def portal(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[PortalProcess]:
    """Yield a running portal without users."""
    with PortalProcess(database_url, redis_url, tmp_path / "portal.log") as running:
        yield running


def execute(portal: PortalProcess, statement: str) -> None:
    with psycopg.connect(portal.database_url, autocommit=True) as connection:
        connection.execute(statement.encode())


def cache(portal: PortalProcess) -> "redis.Redis":
    return redis.Redis.from_url(portal.redis_url, decode_responses=True)


def becomes(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


def session_token(client: Client) -> str:
    (token,) = [value for name, value in client.cookies.items() if "session" in name]
    return token


def test_sign_in_who_am_i_sign_out(portal: PortalProcess) -> None:
    client = portal.signed_in("operator", "anna")
    me = client.get(_ME)
    assert me.status == 200
    assert {key: me.json()[key] for key in ("username", "role", "via")} == {
        "username": "anna",
        "role": "operator",
        "via": "session",
    }
    assert me.json()["csrf_token"] == client.csrf_token
    assert me.header("cache-control") == "no-store"
    kept = dict(client.cookies)
    key = session_key(token_hash(session_token(client)))
    assert client.sign_out().status == 204
    with cache(portal) as copies:
        assert copies.get(key) == REVOKED, "no request under way may write the copy again"
        assert int(str(copies.ttl(key))) > 60
    assert client.get(_ME).status == 401
    client.cookies = kept
    assert client.get(_ME).status == 401  # ended on the server, not only in the browser
    with cache(portal) as copies:
        copies.flushall()
    assert client.get(_ME).status == 401  # and in the database, not only in the cache


def test_the_cookie_over_plain_loopback_is_out_of_reach_of_scripts(portal: PortalProcess) -> None:
    portal.signed_in("viewer", "anna")
    cookies = [
        value
        for name, value in portal.client().sign_in("anna").headers
        if name == "set-cookie" and value.startswith("plumbline-session=")
    ]
    assert len(cookies) == 1
    assert "HttpOnly" in cookies[0]
    assert "SameSite=strict" in cookies[0]
    assert "Domain" not in cookies[0]


def test_any_other_host_gets_a_cookie_for_https_and_itself_alone(portal: PortalProcess) -> None:
    portal.signed_in("viewer", "anna")
    answer = portal.client(headers={"Host": "portal.example"}).sign_in("anna")
    cookies = [value for name, value in answer.headers if name == "set-cookie"]
    assert len(cookies) == 2
    for cookie in cookies:
        assert cookie.startswith("__Host-")
        assert {"Secure", "HttpOnly", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert "Domain" not in cookie


def test_the_session_lies_in_redis_under_the_hash_of_its_token(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer", "anna")
    token = session_token(client)
    with cache(portal) as copies:
        key = session_key(token_hash(token))
        assert becomes(lambda: client.get(_ME).status == 200 and copies.exists(key) == 1, 5)
        assert SESSION_IDLE_S - 60 < int(str(copies.ttl(key))) <= SESSION_IDLE_S
        assert not [name for name in copies.scan_iter() if token in name]
        copies.expire(key, 100)
        assert client.get(_ME).status == 200
        assert int(str(copies.ttl(key))) > SESSION_IDLE_S - 60  # sliding


def test_signing_in_again_ends_the_session_that_the_browser_had(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer", "anna")
    before = portal.client(cookies=dict(client.cookies))
    assert client.sign_in("anna").status == 200
    assert before.get(_ME).status == 401
    with cache(portal) as copies:
        copies.flushall()
    assert [one.get(_ME).status for one in (before, client)] == [401, 200], "in the database, too"


def test_a_session_ends_when_it_was_not_used(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer", "anna")
    assert client.get(_ME).status == 200
    with cache(portal) as copies:
        copies.delete(session_key(token_hash(session_token(client))))  # as its time to live does
    execute(portal, "UPDATE sessions SET last_seen_at = now() - interval '1801 s'")
    assert client.get(_ME).status == 401


def test_a_session_ends_after_twelve_hours_however_much_it_is_used(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer", "anna")
    with psycopg.connect(portal.database_url) as connection:
        row = connection.execute("SELECT extract(epoch FROM expires_at - now()) FROM sessions")
        (left_s,) = row.fetchone() or (0,)
    assert 12 * 3600 - 60 < float(left_s) <= 12 * 3600
    execute(portal, "UPDATE sessions SET expires_at = now() + interval '2 s'")
    with cache(portal) as copies:
        copies.flushall()
    assert client.get(_ME).status == 200
    assert becomes(lambda: client.get(_ME).status == 401, 5)


def test_a_flushed_cache_signs_nobody_out(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer", "anna")
    token = portal.client(headers={"Authorization": f"Bearer {portal.api_token('viewer', 'read')}"})
    before = (client.get(_ME), token.get(_ME))
    with cache(portal) as copies:
        copies.flushall()
    after = (client.get(_ME), token.get(_ME))
    assert [answer.status for answer in before + after] == [200] * 4
    assert [answer.json() for answer in before] == [answer.json() for answer in after]


def test_what_stands_in_the_cache_need_not_make_sense(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer", "anna")
    with cache(portal) as copies:
        for nonsense in ("", "null", "[]", '{"role":"emperor"}', '{"user_id":1}'):
            copies.set(session_key(token_hash(session_token(client))), nonsense)
            assert client.get(_ME).status == 200


def test_without_redis_people_sign_in_and_out(
    portal: PortalProcess, redis_server: RedisServer
) -> None:
    client = portal.signed_in("viewer", "anna")
    redis_server.stop()
    try:
        assert client.get(_ME).status == 200
        another = portal.client()
        assert another.sign_in("anna").status == 200
        assert another.get(_ME).status == 200
        assert another.sign_out().status == 204
        assert client.get(_ME).status == 200
        ended = dict(client.cookies)
        assert client.sign_out().status == 204
    finally:
        redis_server.start()
        redis_server.wait_ready(30)
    client.cookies = ended
    assert becomes(lambda: client.get(_ME).status == 401, RECHECK_S + 5)


@pytest.mark.parametrize("change", ["disable", "password"])
def test_a_session_ends_at_once_when_its_user_changes(portal: PortalProcess, change: str) -> None:
    client = portal.signed_in("viewer", "anna")
    assert client.get(_ME).status == 200
    if change == "disable":
        assert portal.accounts.disable("anna")
    else:
        assert portal.accounts.set_password("anna", PASSWORD[::-1])
    assert client.get(_ME).status == 401
    assert portal.client().sign_in("anna").status == 401


def test_a_disabled_user_has_no_session_whoever_disabled_it(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer", "anna")
    execute(portal, "UPDATE users SET disabled_at = now()")
    with cache(portal) as copies:
        copies.flushall()
    assert client.get(_ME).status == 401


def test_a_revocation_that_redis_missed_holds_after_seconds(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer", "anna")
    assert client.get(_ME).status == 200
    with open_accounts(portal.database_url, None) as accounts:
        accounts.disable("anna")
    assert becomes(lambda: client.get(_ME).status == 401, RECHECK_S + 5)


def test_a_new_role_ends_sessions_at_once_and_counts_for_tokens(portal: PortalProcess) -> None:
    client = portal.signed_in("operator", "anna")
    token = portal.client(
        headers={"Authorization": f"Bearer {portal.api_token('operator', 'read', username='anna')}"}
    )
    assert [one.get(_ME).json()["role"] for one in (client, token)] == ["operator", "operator"]
    assert portal.accounts.set_role("anna", Role.VIEWER)
    assert client.get(_ME).status == 401
    assert token.get(_ME).json()["role"] == "viewer"
    assert client.sign_in("anna").json()["role"] == "viewer"


def test_a_password_is_the_same_however_a_keyboard_composes_it(portal: PortalProcess) -> None:
    portal.accounts.add("anna", "pi\u00f1a colada \u00e0 la carte", Role.VIEWER)
    assert portal.client().sign_in("anna", "pin\u0303a colada a\u0300 la carte").status == 200
    assert portal.client().sign_in("anna", "pina colada a la carte").status == 401


def test_a_role_that_was_changed_past_us_counts_for_sessions_that_exist(
    portal: PortalProcess,
) -> None:
    client = portal.signed_in("viewer", "anna")
    execute(portal, "UPDATE users SET role = 'admin'")
    assert becomes(lambda: bool(client.get(_ME).json()["role"] == "admin"), RECHECK_S + 5)


def test_an_api_token_lives_until_it_expires_or_is_revoked(portal: PortalProcess) -> None:
    secret = portal.api_token("viewer", "read")
    client = portal.client(headers={"Authorization": f"Bearer {secret}"})
    me = client.get(_ME)
    assert (me.status, me.json()["via"], me.json()["csrf_token"]) == (200, "token", None)
    (token,) = portal.accounts.tokens()
    assert token.last_used_at is not None
    assert portal.accounts.revoke_token(token.token_id)
    assert client.get(_ME).status == 401
    expired = portal.api_token("viewer", "read")
    execute(portal, "UPDATE api_tokens SET expires_at = now() WHERE revoked_at IS NULL")
    refused = portal.client(headers={"Authorization": f"Bearer {expired}"}).get(_ME)
    assert refused.status == 401
    assert 'error="invalid_token"' in (refused.header("www-authenticate") or "")


def test_a_request_under_way_does_not_write_back_what_was_revoked(portal: PortalProcess) -> None:
    """It has read the row of the session, which is then ended, and has still to write the copy."""
    client = portal.signed_in("viewer", "anna")
    digest = token_hash(session_token(client))
    with psycopg.connect(portal.database_url) as connection, cache(portal) as copies:
        copies.flushall()
        execute(portal, "UPDATE sessions SET last_seen_at = now() - interval '2 minutes'")
        connection.execute("SELECT FROM sessions FOR UPDATE")
        with ThreadPoolExecutor(1) as threads:
            under_way = threads.submit(client.get, _ME)
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            assert becomes(lambda: connection.execute(waiting).fetchone() == (1,), 10)
            revoker = RedisCredentialCache(portal.redis_url)
            revoker.revoke(Revoked(sessions=[digest]))
            revoker.close()
            connection.rollback()
            assert under_way.result().status == 200, "it began before"
        assert copies.get(session_key(digest)) == REVOKED
    assert client.get(_ME).status == 401


@pytest.mark.parametrize("change", ["revoke", "disable"])
def test_what_was_taken_from_a_token_needs_no_mark_in_the_cache(
    portal: PortalProcess, change: str
) -> None:
    """The mark passes after two minutes, or with the cache: then the database has to know."""
    secret = portal.api_token("viewer", "read")
    client = portal.client(headers={"Authorization": f"Bearer {secret}"})
    assert client.get(_ME).status == 200
    if change == "revoke":
        (token,) = portal.accounts.tokens()
        portal.accounts.revoke_token(token.token_id)
    else:
        portal.accounts.disable("viewer")
    with cache(portal) as copies:
        copies.flushall()
    assert client.get(_ME).status == 401


def test_tokens_of_a_disabled_user_rest_until_the_user_is_enabled(portal: PortalProcess) -> None:
    client = portal.client(
        headers={"Authorization": f"Bearer {portal.api_token('viewer', 'read')}"}
    )
    assert client.get(_ME).status == 200
    portal.accounts.disable("viewer")
    assert client.get(_ME).status == 401
    portal.accounts.enable("viewer")
    assert client.get(_ME).status == 200


@pytest.mark.parametrize(
    "authorization",
    ["Bearer", "Bearer ", "Bearer plb_", "Basic YTpi", "bearer\tx", "Bearer " + "x" * 5000, "é"],
)
def test_a_wrong_authorization_is_refused_even_beside_a_good_cookie(
    portal: PortalProcess, authorization: str
) -> None:
    client = portal.signed_in("viewer", "anna")
    assert client.get(_ME, headers={"Authorization": authorization}).status == 401


def test_a_token_has_no_session_to_end(portal: PortalProcess) -> None:
    secret = portal.api_token("viewer", "read", "write")
    client = portal.client(headers={"Authorization": f"Bearer {secret}"})
    assert client.sign_out().status == 403


def test_sign_ins_and_outs_are_in_the_audit_log(portal: PortalProcess) -> None:
    client = portal.signed_in("viewer", "anna")
    client.sign_in("anna", "not the right one")
    client.sign_in("my secret in the wrong field", "x")
    client.sign_out()
    with psycopg.connect(portal.database_url) as connection:
        entries = connection.execute(
            "SELECT action, actor, target, address FROM audit_log WHERE via <> 'cli' ORDER BY id"
        ).fetchall()
    assert entries == [
        ("session.start", "anna", None, "127.0.0.1"),
        ("session.refused", "-", "anna", "127.0.0.1"),
        ("session.refused", "-", None, "127.0.0.1"),
        ("session.end", "anna", None, "127.0.0.1"),
    ]
