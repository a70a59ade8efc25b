"""Users, API tokens and the audit log in the database, through the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from plumbline.adapters.redis import connect
from plumbline.adapters.redis_entries import REVOKED, api_token_key, session_key
from plumbline.application.accounts import Accounts
from plumbline.domain.account import Role, Scope
from plumbline.errors import NotFound, PermanentError
from plumbline.portal.credentials import token_hash
from portal_process import PASSWORD as _PASSWORD
from portal_process import open_accounts
from store_world import connect as connect_database


class CommandLine:
    """`plumbline` with the database and the cache from the environment."""

    def __init__(self, database_url: str, redis_url: str, directory: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PLUMBLINE_DATA_DIR": str(directory / "nothing"),
        }

    def __call__(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a sub-command."""
        return subprocess.run(
            [sys.executable, "-m", "plumbline", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=self._environment,
        )


@pytest.fixture
def plumbline(database_url: str, redis_url: str, tmp_path: Path) -> CommandLine:
    """Return the command line on a fresh database."""
    return CommandLine(database_url, redis_url, tmp_path)


@pytest.fixture
def account_opener() -> Iterator[Callable[..., Accounts]]:
    """Yield what opens users and tokens of a database with a cache; closed at the end."""
    with ExitStack() as stack:
        yield lambda *urls: stack.enter_context(open_accounts(*urls))


def test_a_user_is_added_disabled_and_enabled(plumbline: CommandLine) -> None:
    added = plumbline(
        "user", "add", "Anna", "--role", "operator", "--password-stdin", stdin=f"{_PASSWORD}\n"
    )
    assert (added.returncode, added.stdout) == (0, "")
    again = plumbline("user", "add", "anna", "--password-stdin", stdin=f"{_PASSWORD}\n")
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert plumbline("user", "disable", "anna").returncode == 0
    (anna,) = json.loads(plumbline("user", "list", "--json").stdout)
    assert (anna["username"], anna["role"]) == ("anna", "operator")
    assert anna["disabled_at"] is not None
    assert plumbline("user", "enable", "ANNA").returncode == 0
    assert json.loads(plumbline("user", "list", "--json").stdout)[0]["disabled_at"] is None
    assert "anna" in plumbline("user", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["user", "add", "anna", "--password-stdin"], "short\n"),
        (["user", "add", "anna", "--password-stdin"], "x" * 1025),
        (["user", "add", "an na", "--password-stdin"], _PASSWORD),
        (["user", "add", "'; drop table users", "--password-stdin"], _PASSWORD),
        (["user", "disable", "nobody"], ""),
        (["user", "enable", "nobody"], ""),
        (["user", "passwd", "nobody", "--password-stdin"], _PASSWORD),
        (["token", "add", "nobody"], ""),
        (["token", "revoke", "1"], ""),
        (["token", "revoke", str(2**63 - 1)], ""),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    plumbline: CommandLine, arguments: list[str], stdin: str
) -> None:
    done = plumbline(*arguments, stdin=stdin)
    assert done.returncode in {1, 2}
    assert done.stderr.startswith("plumbline: ")
    assert len(done.stderr.splitlines()) == 1
    assert json.loads(plumbline("user", "list", "--json").stdout) == []


def test_a_token_is_shown_once_and_stored_as_a_hash(
    plumbline: CommandLine, database_url: str
) -> None:
    plumbline("user", "add", "anna", "--password-stdin", stdin=_PASSWORD)
    arguments = ["--name", "export", "--scope", "read", "--expires-in", "24h", "--json"]
    made = json.loads(plumbline("token", "add", "anna", *arguments).stdout)
    assert made["token"].startswith("plb_")
    assert made["scopes"] == ["read"]
    expires_at = datetime.fromisoformat(made["expires_at"])
    assert timedelta(hours=23) < expires_at - datetime.now(UTC) <= timedelta(hours=24)
    listed = plumbline("token", "list", "--json").stdout
    assert made["token"] not in listed
    assert json.loads(listed)[0]["revoked_at"] is None
    assert plumbline("token", "revoke", str(made["id"])).returncode == 0
    assert json.loads(plumbline("token", "list", "--json").stdout)[0]["revoked_at"] is not None
    with connect_database(database_url) as connection:
        row = connection.execute("SELECT token_hash FROM api_tokens").fetchone()
    assert row is not None
    assert bytes(row[0]) == token_hash(made["token"])


def test_the_password_is_stored_as_argon2id(plumbline: CommandLine, database_url: str) -> None:
    plumbline("user", "add", "anna", "--password-stdin", stdin=_PASSWORD)
    with connect_database(database_url) as connection:
        row = connection.execute("SELECT password_hash FROM users").fetchone()
    assert row is not None
    assert row[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'somebody else'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "DELETE FROM audit_log WHERE false",
    ],
)
def test_the_audit_log_only_grows(
    plumbline: CommandLine, database_url: str, statement: str
) -> None:
    plumbline("user", "add", "anna", "--password-stdin", stdin=_PASSWORD)
    plumbline("token", "add", "anna")
    plumbline("user", "disable", "anna")
    with connect_database(database_url) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
        entries = connection.execute("SELECT action, target, via FROM audit_log ORDER BY id")
        assert [row[:2] for row in entries] == [
            ("user.add", "anna"),
            ("token.add", "1"),
            ("user.disable", "anna"),
        ]
        text = str(connection.execute("SELECT * FROM audit_log").fetchall())
    assert _PASSWORD not in text
    assert "argon2" not in text


def test_what_is_taken_away_is_refused_in_the_cache_at_once(
    database_url: str, redis_url: str, account_opener: Callable[..., Accounts]
) -> None:
    accounts = account_opener(database_url, redis_url)
    accounts.add("anna", _PASSWORD, Role.VIEWER)
    new = accounts.add_token("anna", "", [Scope.READ], 60)
    session, token = b"s" * 32, token_hash(new.secret)
    with connect_database(database_url) as connection:
        connection.execute(
            "INSERT INTO sessions (token_hash, user_id, expires_at)"
            " SELECT %s, id, now() + interval '1 hour' FROM users",
            [session],
        )
    with connect(redis_url) as cache:
        cache.set(session_key(session), "a copy")
        cache.set(api_token_key(token), "a copy")
        assert accounts.disable("anna")
        assert cache.get(session_key(session)) == REVOKED
        assert cache.get(api_token_key(token)) == REVOKED
        accounts.enable("anna")
        assert cache.get(api_token_key(token)) is None
        assert accounts.revoke_token(new.token.token_id)
        assert cache.get(api_token_key(token)) == REVOKED


def test_a_cache_that_cannot_be_told_is_reported(
    database_url: str, account_opener: Callable[..., Accounts]
) -> None:
    accounts = account_opener(database_url, "redis://127.0.0.1:1/0")
    accounts.add("anna", _PASSWORD, Role.VIEWER)
    assert accounts.disable("anna")  # there is nothing to tell
    accounts.enable("anna")
    new = accounts.add_token("anna", "", [Scope.READ], 60)
    assert not accounts.disable("anna")
    accounts.enable("anna")
    assert not accounts.revoke_token(new.token.token_id)


def test_a_user_who_is_to_be_there_is_there_with_that_password(
    database_url: str, redis_url: str, account_opener: Callable[..., Accounts]
) -> None:
    accounts = account_opener(database_url, redis_url)
    accounts.ensure("demo", _PASSWORD, Role.ADMIN)
    changed = accounts.users()[0].password_changed_at
    accounts.ensure("demo", _PASSWORD, Role.ADMIN)
    assert accounts.users()[0].password_changed_at == changed
    accounts.disable("demo")
    accounts.ensure("demo", _PASSWORD, Role.ADMIN)
    (demo,) = accounts.users()
    assert (demo.role, demo.disabled_at) == (Role.ADMIN, None)


def test_a_tokens_life_is_bounded(
    database_url: str, account_opener: Callable[..., Accounts]
) -> None:
    accounts = account_opener(database_url, None)
    accounts.add("anna", _PASSWORD, Role.VIEWER)
    for lifetime_s in (0.0, -1.0, 1e300, float("nan")):
        with pytest.raises(PermanentError):
            accounts.add_token("anna", "", [Scope.READ], lifetime_s)
    with pytest.raises(PermanentError):
        accounts.add_token("anna", "n" * 101, [Scope.READ], 60)
    with pytest.raises(NotFound):
        accounts.add_token("nobody", "", [Scope.READ], 60)
