"""Who may use the portal, and for what."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MIN_PASSWORD_LENGTH = 12
MAX_PASSWORD_LENGTH = 1024
_LEAST_DIFFERENT = 5

API_TOKEN_PREFIX = "plb_"  # noqa: S105 - the same in every token
"""Begins every API token's secret, so that secret scanners recognise one."""

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}", re.ASCII)


class Role(StrEnum):
    """What a user may do; each includes the one before."""

    VIEWER = "viewer"
    """Read."""
    OPERATOR = "operator"
    """Send commands, too."""
    ADMIN = "admin"
    """Everything."""

    def includes(self, other: "Role") -> bool:
        """Tell whether this role may do what the other may."""
        return _RANK[self] >= _RANK[other]


_RANK = {role: rank for rank, role in enumerate(Role)}


class Scope(StrEnum):
    """What an API token may be used for, within its user's role."""

    READ = "read"
    """Requests that change nothing."""
    WRITE = "write"
    """All others."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of the portal; times are aware UTC."""

    username: str
    role: Role
    created_at: datetime
    password_changed_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApiToken:
    """An API token without its secret; times are aware UTC."""

    token_id: int
    username: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def wrong_password(username: str, password: str) -> str | None:
    """Return what is wrong with the password that a user wants, or None.

    Long is what helps against guessing; a rule about kinds of characters would not.
    """
    if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
        return f"a password has {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters"
    if len(set(password)) < _LEAST_DIFFERENT:
        return f"a password has at least {_LEAST_DIFFERENT} different characters"
    if password.lower() == username.lower():
        return "a password is not the user name"
    return None


def normalised_username(text: str) -> str | None:
    """Return the user name as it is stored, or None where it cannot be one.

    A name is 1 to 64 of ``a-z 0-9 . _ @ -`` and begins with a letter or digit; capitals count as
    small letters.
    """
    name = text.lower() if text.isascii() else text
    return name if _USERNAME.fullmatch(name) else None
