"""Signs users in and out, and slows down who guesses.

What failed is counted by address and by account. From the fifth failure on, each blocks the next
attempt for twice as long. An account's block does not hold for a browser from which its user has
signed in before, nor for an address that has not failed: so nobody locks the owner out.
"""

import asyncio
import hashlib
import logging
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from plumbline.adapters.postgres.async_database import AsyncDatabase, Row
from plumbline.adapters.postgres.queries import load
from plumbline.domain.account import MAX_PASSWORD_LENGTH, Role, normalised_username
from plumbline.portal.audit import audit_values
from plumbline.portal.credentials import CredentialStore, token_hash
from plumbline.portal.hashing import HashingThread
from plumbline.portal.problems import Kind, Problem
from plumbline.portal.request_head import RequestHead
from plumbline.ports import PasswordHasher

LONGEST_SESSION_S = 12 * 3600

_log = logging.getLogger(__name__)
_SQL = load("sign_in.sql")
_AUDIT = load("accounts.sql")["audit"]

_FREE_FAILURES = 5
_LONGEST_BLOCK_S = 900
_BROWSER_FAILURES = 10
_TOKEN_BYTES = 32
_TOKEN = re.compile("[A-Za-z0-9_-]{43}")

# One is hashed while the other asks the database. More would only wait for each other; and who
# guesses in parallel is counted in between.
_VERIFIED_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session.

    Attributes:
        session_token, browser_token: For the cookies; kept nowhere else.
        expires_at: At the latest, aware UTC.
    """

    username: str
    role: Role
    expires_at: datetime
    session_token: str = field(repr=False)
    browser_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What is known before the password is looked at."""

    user_id: int | None
    username: str | None
    password_hash: str | None
    role: str | None
    disabled: bool | None
    browser_known: bool
    address_failures: int
    address_wait_s: float
    account_wait_s: float

    @property
    def wait_s(self) -> float:
        """Return how long this attempt has to wait."""
        if self.browser_known:
            return 0.0
        if self.address_failures == 0:
            return 0.0
        return max(self.address_wait_s, self.account_wait_s)


class SignIn:
    """Starts and ends sessions.

    Args:
        database: Holds users, sessions, and what failed.
        credentials: Told of sessions that end.
        hasher: Of passwords.
    """

    def __init__(
        self, database: AsyncDatabase, credentials: CredentialStore, hasher: PasswordHasher
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._hashing = HashingThread(hasher)
        self._verifying = asyncio.Semaphore(_VERIFIED_AT_ONCE)
        # Looked at for users that do not exist, so that they take as long.
        self._nobodys_hash = hasher.hash(secrets.token_urlsafe(_TOKEN_BYTES))

    async def start(
        self, username: str, password: str, head: RequestHead, request_id: str | None
    ) -> SignedIn:
        """Start a session with a new token, and end the one that the browser had.

        Raises:
            Problem: 401 for a wrong name or password, or a disabled user, all alike; 429 while
                this attempt has to wait.
            StoreUnavailable: The database cannot serve.
        """
        name = normalised_username(username)
        values = self._subjects(username if name is None else name, head)
        async with self._verifying:
            rows = await self._database.fetch(_SQL["attempt"], {**values, "username": name})
            attempt = _Attempt(*rows[0])
            if attempt.wait_s > 0:
                wait = math.ceil(attempt.wait_s)
                _log.warning("sign_in_blocked", extra={"address": head.subject, "wait_s": wait})
                raise Problem(Kind.TOO_MANY_ATTEMPTS, headers={"Retry-After": str(wait)})
            if not await self._is_right(attempt, password):
                await self._failed(attempt, values, head, request_id)
                raise Problem(Kind.WRONG_CREDENTIALS)
        return await self._started(attempt, values, head, request_id)

    async def end(self, username: str, head: RequestHead, request_id: str | None) -> None:
        """End the session of the request's cookie, here and in every copy."""
        token = head.session_cookie
        if token is None:
            return
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_SQL["end_session"], {"hash": token_hash(token)})
            await connection.execute(
                _AUDIT, audit_values("session.end", username, "session", head, request_id)
            )
        await self._credentials.forget_session(token)

    async def _is_right(self, attempt: _Attempt, password: str) -> bool:
        password_hash = attempt.password_hash or self._nobodys_hash
        if len(password) > MAX_PASSWORD_LENGTH:
            password = ""
        right = await self._hashing.verify(password_hash, password)
        return right and attempt.user_id is not None and not attempt.disabled

    async def _failed(
        self,
        attempt: _Attempt,
        values: Mapping[str, Any],
        head: RequestHead,
        request_id: str | None,
    ) -> None:
        # A name that nobody has may be a password in the wrong field: it is not written down.
        entry = audit_values(
            "session.refused", "-", "none", head, request_id, target=attempt.username
        )
        async with self._database.connection() as connection, connection.transaction():
            if attempt.browser_known:
                await connection.execute(
                    _SQL["browser_failed"],
                    {"browser": values["browser"], "most": _BROWSER_FAILURES},
                )
            else:
                await connection.execute(
                    _SQL["failed"],
                    {
                        "subjects": [values["account"], values["address"]],
                        "free_failures": _FREE_FAILURES,
                        "longest_block_s": _LONGEST_BLOCK_S,
                    },
                )
            await connection.execute(_AUDIT, entry)

    async def _started(
        self,
        attempt: _Attempt,
        values: Mapping[str, Any],
        head: RequestHead,
        request_id: str | None,
    ) -> SignedIn:
        assert attempt.username is not None  # noqa: S101 - a right password is somebody's
        session_token = secrets.token_urlsafe(_TOKEN_BYTES)
        browser_token = head.browser_cookie if attempt.browser_known else None
        browser_token = browser_token or secrets.token_urlsafe(_TOKEN_BYTES)
        old = head.session_cookie
        started = {
            "session": token_hash(session_token),
            "browser": token_hash(browser_token),
            "old_session": None if old is None else token_hash(old),
            "account": values["account"],
            "user_id": attempt.user_id,
            "password_hash": attempt.password_hash,
            "longest_s": LONGEST_SESSION_S,
        }
        entry = audit_values("session.start", attempt.username, "session", head, request_id)
        async with self._database.connection() as connection, connection.transaction():
            cursor = await connection.execute(_SQL["signed_in"], started)
            row: Row | None = await cursor.fetchone()
            if row is None:  # disabled, or given another password, at this moment
                raise Problem(Kind.WRONG_CREDENTIALS)
            await connection.execute(_AUDIT, entry)
        if old is not None:
            await self._credentials.forget_session(old)
        return SignedIn(
            attempt.username,
            Role(attempt.role or ""),
            row[0].astimezone(UTC),
            session_token,
            browser_token,
        )

    def _subjects(self, name: str, head: RequestHead) -> dict[str, Any]:
        """Return what an attempt is counted by; names as hashes: any text may stand there."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        browser = head.browser_cookie
        known_shape = browser is not None and _TOKEN.fullmatch(browser)
        return {
            "address": f"address {head.subject}",
            "account": f"account {digest}",
            "browser": token_hash(browser) if browser is not None and known_shape else None,
        }
