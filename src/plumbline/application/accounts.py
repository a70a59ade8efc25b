"""The portal's users and API tokens, as an operator manages them."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from plumbline.domain.account import (
    API_TOKEN_PREFIX,
    ApiToken,
    Role,
    Scope,
    User,
    normalised_username,
    wrong_password,
)
from plumbline.errors import CacheUnavailable, NotFound, PermanentError
from plumbline.ports import AccountRegistry, Clock, CredentialCache, PasswordHasher, Revoked

_TOKEN_BYTES = 32
_MAX_NAME_LENGTH = 100
_LONGEST_LIFETIME_S = 10 * 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class NewApiToken:
    """An API token and its secret, which is shown once and kept nowhere."""

    token: ApiToken
    secret: str = field(repr=False)


class Accounts:
    """Adds and changes users and API tokens.

    A change that takes rights away holds at once; where the cache cannot be reached, after the
    few seconds for which the portal trusts it. Every method raises StoreUnavailable where the
    registry cannot serve.

    Args:
        registry: Holds the truth.
        cache: Holds copies; None where there is none.
        hasher: Of passwords.
        clock: For the end of tokens.
    """

    def __init__(
        self,
        registry: AccountRegistry,
        cache: CredentialCache | None,
        hasher: PasswordHasher,
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._hasher = hasher
        self._clock = clock

    def add(self, username: str, password: str, role: Role) -> None:
        """Add a user.

        Raises:
            PermanentError: Not a user name, one that exists, or a password that is too weak.
        """
        name = _valid_username(username)
        _require_valid_password(name, password)
        if not self._registry.add_user(name, self._hasher.hash(password), role):
            msg = f"user {name} exists already"
            raise PermanentError(msg)

    def ensure(self, username: str, password: str, role: Role) -> None:
        """Add a user, or give the one that exists this password, unless it is theirs."""
        password_hash = self._registry.password_hash(username)
        if password_hash is not None and self._hasher.verify(password_hash, password):
            return
        new_hash = self._hasher.hash(password)
        if not self._registry.add_user(username, new_hash, role):
            self._registry.set_password(username, new_hash)
            self._registry.enable(username)

    def users(self) -> Sequence[User]:
        """Return every user, by name."""
        return self._registry.users()

    def set_role(self, username: str, role: Role) -> bool:
        """Give a user another role and end the sessions; API tokens act with it, too.

        Returns:
            False where copies of sessions and tokens may act with the old role for some seconds.
        Raises:
            NotFound: No such user.
            LastAdmin: Nobody would be left who is an admin and may sign in.
        """
        changed = _found(self._registry.set_role(username.lower(), role), username)
        told = self._revoke(Revoked(sessions=changed.sessions))
        return self._forget(Revoked(tokens=changed.tokens)) and told

    def set_password(self, username: str, password: str) -> bool:
        """Replace the password and end the user's sessions; API tokens stay.

        Returns:
            False where copies of the sessions may live for some seconds.
        Raises:
            NotFound: No such user.
            PermanentError: See ``domain.account.wrong_password``.
        """
        _require_valid_password(username, password)
        revoked = self._registry.set_password(username.lower(), self._hasher.hash(password))
        return self._revoke(_found(revoked, username))

    def disable(self, username: str) -> bool:
        """End the user's sessions and let them sign in no more; their API tokens rest.

        Returns:
            False where copies of sessions and tokens may live for some seconds.
        Raises:
            NotFound: No such user.
            LastAdmin: Nobody would be left who is an admin and may sign in.
        """
        return self._revoke(_found(self._registry.disable(username.lower()), username))

    def enable(self, username: str) -> None:
        """Let the user sign in again; their API tokens work again.

        Raises:
            NotFound: No such user.
        """
        # Where the cache cannot be told, what it holds against the tokens passes by itself.
        self._forget(_found(self._registry.enable(username.lower()), username))

    def add_token(
        self, username: str, name: str, scopes: Sequence[Scope], lifetime_s: float
    ) -> NewApiToken:
        """Make an API token of a user.

        Raises:
            NotFound: No such user.
            PermanentError: The name is too long, or the lifetime not within ten years.
        """
        if not 0 < lifetime_s <= _LONGEST_LIFETIME_S:
            msg = "a token lives for longer than nothing and at most for ten years"
            raise PermanentError(msg)
        if len(name) > _MAX_NAME_LENGTH:
            msg = f"a token's name has at most {_MAX_NAME_LENGTH} characters"
            raise PermanentError(msg)
        secret = API_TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        token = self._registry.add_token(
            username.lower(),
            name,
            hashlib.sha256(secret.encode()).digest(),
            sorted(set(scopes)),
            self._clock.now() + timedelta(seconds=lifetime_s),
        )
        if token is None:
            raise NotFound(_no_user(username))
        return NewApiToken(token, secret)

    def tokens(self) -> Sequence[ApiToken]:
        """Return every API token, in the order of their making."""
        return self._registry.tokens()

    def revoke_token(self, token_id: int) -> bool:
        """Let the token in no more.

        Returns:
            False where a copy of it may live for some seconds.
        Raises:
            NotFound: No such token.
        """
        revoked = self._registry.revoke_token(token_id)
        if revoked is None:
            msg = f"no token {token_id}"
            raise NotFound(msg)
        return self._revoke(revoked)

    def _revoke(self, revoked: Revoked) -> bool:
        return self._tell(revoked, lambda cache: cache.revoke(revoked))

    def _forget(self, changed: Revoked) -> bool:
        return self._tell(changed, lambda cache: cache.forget(changed))

    def _tell(self, changed: Revoked, tell: Callable[[CredentialCache], None]) -> bool:
        if not changed.sessions and not changed.tokens:
            return True
        if self._cache is None:
            return False
        try:
            tell(self._cache)
        except CacheUnavailable:
            return False
        return True


def _valid_username(username: str) -> str:
    name = normalised_username(username)
    if name is None:
        msg = (
            f"{username!r} is no user name: 1 to 64 of a-z 0-9 . _ @ -,"
            " beginning with a letter or digit"
        )
        raise PermanentError(msg)
    return name


def _require_valid_password(username: str, password: str) -> None:
    wrong = wrong_password(username, password)
    if wrong is not None:
        raise PermanentError(wrong)


def _found(revoked: Revoked | None, username: str) -> Revoked:
    if revoked is None:
        raise NotFound(_no_user(username))
    return revoked


def _no_user(username: str) -> str:
    return f"no user {username}"
