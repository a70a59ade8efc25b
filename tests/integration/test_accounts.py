"""Users, API tokens and the audit log in the database, through the command line."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from plumbline.adapters.redis import connect
from plumbline.adapters.redis_entries import REVOKED, api_token_key, session_key
from plumbline.application.accounts import Accounts
from plumbline.domain.account import Role, Scope
from plumbline.errors import LastAdmin, NotFound, PermanentError
from plumbline.local.endpoints import Endpoints, write_endpoints
from plumbline.portal.credentials import token_hash
from portal_process import PASSWORD as _PASSWORD
from portal_process import open_accounts
from store_world import connect as connect_database


class CommandLine:
    """`plumbline` with the database and the cache from the environment."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def __call__(
        self, *arguments: str, stdin: str | bytes = ""
    ) -> "subprocess.CompletedProcess[str]":
        """Run a sub-command."""
        done = subprocess.run(
            [sys.executable, "-m", "plumbline", *arguments],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            check=False,
            timeout=60,
            env=self.environment,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )


@pytest.fixture
def plumbline(database_url: str, redis_url: str, tmp_path: Path) -> CommandLine:
    """Return the command line on a fresh database."""
    return CommandLine(
        {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PLUMBLINE_DATA_DIR": str(tmp_path / "nothing"),
        }
    )


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
        (["user", "add", "anna", "--password-stdin"], "abcabcabcabc"),
        (["user", "add", "tower.operator", "--password-stdin"], "Tower.Operator"),
        (["user", "add", "anna", "--password-stdin"], ""),
        (["user", "role", "nobody", "admin"], ""),
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


def test_nobody_is_asked_for_a_password_without_a_terminal(plumbline: CommandLine) -> None:
    for command in (["add", "anna"], ["passwd", "anna"]):
        done = plumbline("user", *command, stdin=f"{_PASSWORD}\n{_PASSWORD}\n")
        assert done.returncode == 2
        assert "--password-stdin" in done.stderr
        assert "Password" not in done.stderr


def test_a_password_that_is_no_text_is_refused(plumbline: CommandLine) -> None:
    done = plumbline("user", "add", "anna", "--password-stdin", stdin=b"\xff\xfe" * 10)
    assert (done.returncode, done.stderr) == (1, "plumbline: the password is not UTF-8\n")


def test_a_user_gets_another_role(plumbline: CommandLine, database_url: str) -> None:
    plumbline("user", "add", "anna", "--password-stdin", stdin=_PASSWORD)
    changed = plumbline("user", "role", "Anna", "admin")
    assert (changed.returncode, changed.stderr) == (0, "anna is admin\n")
    assert json.loads(plumbline("user", "list", "--json").stdout)[0]["role"] == "admin"
    assert plumbline("user", "role", "anna", "admin").returncode == 0, "as it is"
    assert plumbline("user", "role", "anna", "emperor").returncode == 2
    with connect_database(database_url) as connection:
        entries = connection.execute("SELECT action, target, detail FROM audit_log ORDER BY id")
        assert entries.fetchall()[1:] == [("user.role", "anna", {"from": "viewer", "to": "admin"})]


def test_the_last_admin_stays(plumbline: CommandLine) -> None:
    for name, role in (("anna", "admin"), ("ben", "admin"), ("cleo", "operator")):
        plumbline("user", "add", name, "--role", role, "--password-stdin", stdin=_PASSWORD)
    assert plumbline("user", "disable", "ben").returncode == 0
    for change in (["disable", "anna"], ["role", "anna", "viewer"]):
        refused = plumbline("user", *change)
        assert refused.returncode == 1
        assert refused.stderr.startswith("plumbline: anna is the last admin who may sign in")
    assert plumbline("user", "disable", "cleo").returncode == 0, "no admin"
    assert plumbline("user", "enable", "ben").returncode == 0
    assert plumbline("user", "role", "anna", "viewer").returncode == 0
    roles = {
        one["username"]: one["role"]
        for one in json.loads(plumbline("user", "list", "--json").stdout)
    }
    assert roles == {"anna": "viewer", "ben": "admin", "cleo": "operator"}


def test_two_admins_who_disable_each_other_at_once_do_not_both_succeed(
    database_url: str, account_opener: Callable[..., Accounts]
) -> None:
    first, second = (account_opener(database_url, None) for _ in range(2))
    for name in ("anna", "ben"):
        first.add(name, _PASSWORD, Role.ADMIN)

    def disable(accounts: Accounts, name: str) -> bool:
        barrier.wait()
        try:
            accounts.disable(name)
        except LastAdmin:
            return False
        return True

    for _ in range(20):
        barrier = threading.Barrier(2)
        with ThreadPoolExecutor(2) as threads:
            done = list(threads.map(disable, (first, second), ("anna", "ben")))
        assert sorted(done) == [False, True]
        for name in ("anna", "ben"):
            first.enable(name)


def test_the_cache_of_another_system_is_not_told(
    plumbline: CommandLine, redis_url: str, tmp_path: Path
) -> None:
    """The database of the environment, and beside it a data directory where another one runs."""
    write_endpoints(
        tmp_path,
        Endpoints("http://x", "mqtt://x", "mqtts://x", "postgresql://x", redis_url, os.getpid()),
    )
    environment = plumbline.environment | {"PLUMBLINE_DATA_DIR": str(tmp_path)}
    del environment["REDIS_URL"]
    other = CommandLine(environment)
    other("user", "add", "anna", "--password-stdin", stdin=_PASSWORD)
    made = json.loads(other("token", "add", "anna", "--json").stdout)
    revoked = other("token", "revoke", str(made["id"]))
    assert "Redis could not be told" in revoked.stderr
    with connect(redis_url) as cache:
        assert not cache.keys()


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
    accounts.add("zoe", _PASSWORD, Role.ADMIN)
    accounts.ensure("demo", _PASSWORD, Role.ADMIN)
    changed = accounts.users()[0].password_changed_at
    accounts.ensure("demo", _PASSWORD, Role.ADMIN)
    assert accounts.users()[0].password_changed_at == changed
    accounts.disable("demo")
    accounts.ensure("demo", _PASSWORD, Role.ADMIN)
    demo, _ = accounts.users()
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
