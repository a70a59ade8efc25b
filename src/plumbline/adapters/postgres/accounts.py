"""Users, API tokens and the audit log on PostgreSQL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queries import load
from plumbline.domain.account import ApiToken, Role, Scope, User
from plumbline.errors import LastAdmin
from plumbline.ports import Revoked


class PostgresAccounts:
    """See ``ports.AccountRegistry``; for one thread.

    Args:
        database: Its connection; failures become StoreUnavailable.
        actor: Who changes things, for the audit log.
    """

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor
        self._sql = load("accounts.sql")

    def add_user(self, username: str, password_hash: str, role: Role) -> bool:
        """Add a user; False where the name is taken."""
        values = {"username": username, "hash": password_hash, "role": role}
        with self._transaction() as connection:
            added = connection.execute(self._sql["add_user"], values).rowcount > 0
            if added:
                self._audit(connection, "user.add", username, {"role": role})
        return added

    def users(self) -> Sequence[User]:
        """Return every user, by name."""
        with self._database.connection() as connection:
            rows = connection.execute(self._sql["select_users"]).fetchall()
        return [
            User(username, Role(role), _utc(created), _utc(changed), disabled and _utc(disabled))
            for username, role, created, changed, disabled in rows
        ]

    def password_hash(self, username: str) -> str | None:
        """Return the hash of a user who may sign in, or None."""
        with self._database.connection() as connection:
            row = connection.execute(self._sql["password_hash"], {"username": username}).fetchone()
        return None if row is None else row[0]

    def set_password(self, username: str, password_hash: str) -> Revoked | None:
        """Replace the password and end the sessions; None where there is no such user."""
        values = {"username": username, "hash": password_hash}
        with self._transaction() as connection:
            if connection.execute(self._sql["set_password"], values).rowcount == 0:
                return None
            self._audit(connection, "user.passwd", username)
            connection.execute(self._sql["forget_browsers"], values)
            return Revoked(sessions=self._hashes(connection, "end_sessions", username))

    def set_role(self, username: str, role: Role) -> Revoked | None:
        """Give the user another role and end the sessions; None where there is no such user."""
        values = {"username": username, "role": role}
        with self._transaction() as connection:
            if role is not Role.ADMIN:
                self._require_another_admin(connection, username)
            row = connection.execute(self._sql["lock_role"], values).fetchone()
            if row is None:
                return None
            if row[0] == role:
                return Revoked()
            connection.execute(self._sql["set_role"], values)
            self._audit(connection, "user.role", username, {"from": row[0], "to": role})
            return self._all_of(connection, username)

    def disable(self, username: str) -> Revoked | None:
        """Let the user in no more; None where there is no such user."""
        return self._set_disabled(username, disabled=True)

    def enable(self, username: str) -> Revoked | None:
        """Let the user in again; returns the API tokens that work again, None for no user."""
        return self._set_disabled(username, disabled=False)

    def add_token(
        self,
        username: str,
        name: str,
        token_hash: bytes,
        scopes: Sequence[Scope],
        expires_at: datetime,
    ) -> ApiToken | None:
        """Add an API token; None where there is no such user."""
        values = {
            "username": username,
            "name": name,
            "hash": token_hash,
            "scopes": [str(scope) for scope in scopes],
            "expires_at": expires_at,
        }
        with self._transaction() as connection:
            row = connection.execute(self._sql["add_token"], values).fetchone()
            if row is None:
                return None
            detail = {"name": name, "scopes": values["scopes"], "user": username}
            self._audit(connection, "token.add", str(row[0]), detail)
            return _api_token(self._select_tokens(connection, row[0])[0])

    def tokens(self) -> Sequence[ApiToken]:
        """Return every API token, in the order of their making."""
        with self._database.connection() as connection:
            return [_api_token(row) for row in self._select_tokens(connection, None)]

    def revoke_token(self, token_id: int) -> Revoked | None:
        """Let the token in no more; None where there is none."""
        with self._transaction() as connection:
            row = connection.execute(self._sql["revoke_token"], {"id": token_id}).fetchone()
            if row is None:
                return None
            self._audit(connection, "token.revoke", str(token_id))
            return Revoked(tokens=[bytes(row[0])])

    def _set_disabled(self, username: str, *, disabled: bool) -> Revoked | None:
        values = {"username": username, "disabled": disabled}
        with self._transaction() as connection:
            if disabled:
                self._require_another_admin(connection, username)
            if connection.execute(self._sql["set_disabled"], values).rowcount == 0:
                return None
            self._audit(connection, "user.disable" if disabled else "user.enable", username)
            return self._all_of(connection, username)

    def _require_another_admin(self, connection: psycopg.Connection, username: str) -> None:
        admins = [row[0] for row in connection.execute(self._sql["lock_admins"])]
        if admins == [username]:
            msg = f"{username} is the last admin who may sign in; make somebody else one first"
            raise LastAdmin(msg)

    def _all_of(self, connection: psycopg.Connection, username: str) -> Revoked:
        """End the sessions; return them, and the API tokens."""
        return Revoked(
            sessions=self._hashes(connection, "end_sessions", username),
            tokens=self._hashes(connection, "token_hashes", username),
        )

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection]:
        with self._database.connection() as connection, connection.transaction():
            yield connection

    def _hashes(self, connection: psycopg.Connection, name: str, username: str) -> list[bytes]:
        rows = connection.execute(self._sql[name], {"username": username}).fetchall()
        return [bytes(row[0]) for row in rows]

    def _select_tokens(
        self, connection: psycopg.Connection, token_id: int | None
    ) -> list[tuple[Any, ...]]:
        return connection.execute(self._sql["select_tokens"], {"id": token_id}).fetchall()

    def _audit(
        self,
        connection: psycopg.Connection,
        action: str,
        target: str,
        detail: dict[str, Any] | None = None,
    ) -> None:
        values = {
            "actor": self._actor,
            "via": "cli",
            "action": action,
            "target": target,
            "address": None,
            "request_id": None,
            "detail": Jsonb(detail or {}),
        }
        connection.execute(self._sql["audit"], values)


def _api_token(row: tuple[Any, ...]) -> ApiToken:
    token_id, username, name, scopes, created, expires, used, revoked = row
    return ApiToken(
        token_id=token_id,
        username=username,
        name=name,
        scopes=tuple(Scope(scope) for scope in scopes),
        created_at=_utc(created),
        expires_at=_utc(expires),
        last_used_at=used and _utc(used),
        revoked_at=revoked and _utc(revoked),
    )


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
