"""Looks sessions and API tokens up: Redis first, PostgreSQL where Redis does not know."""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, LiteralString

import msgspec

from plumbline.adapters.postgres.async_database import AsyncDatabase, Row
from plumbline.adapters.postgres.queries import load
from plumbline.adapters.redis_entries import (
    API_TOKEN_IDLE_S,
    RECHECK_S,
    REVOKED,
    REVOKED_TTL_S,
    SESSION_IDLE_S,
    api_token_key,
    session_key,
)
from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.domain.account import API_TOKEN_PREFIX, Role, Scope
from plumbline.errors import CacheUnavailable, StoreUnavailable
from plumbline.portal.guard import Principal

_SQL = load("sign_in.sql")
# Who asks often has the same copy for seconds: it is not taken apart each time.
_READ_BEFORE = 4096
_RANDOM = "[A-Za-z0-9_-]{43}"
_LONGEST_TOKEN = len(API_TOKEN_PREFIX) + 43
_REVOKED = REVOKED.encode()

# A copy is written only where nobody has revoked the original meanwhile.
_KEEP_UNLESS_REVOKED = """
if redis.call('GET', KEYS[1]) == ARGV[3] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""


class _Copy(msgspec.Struct, frozen=True, eq=False):
    user_id: int
    username: str
    role: Role
    scopes: frozenset[Scope]
    expires_at_s: float
    checked_at_s: float


_decode = msgspec.json.Decoder(_Copy).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, eq=False)
class _Sort:
    via: Literal["session", "token"]
    pattern: re.Pattern[str]
    key: Callable[[bytes], str]
    idle_s: int
    statement: LiteralString


_SESSION = _Sort("session", re.compile(_RANDOM), session_key, SESSION_IDLE_S, _SQL["session"])
_API_TOKEN = _Sort(
    "token",
    re.compile(API_TOKEN_PREFIX + _RANDOM),
    api_token_key,
    API_TOKEN_IDLE_S,
    _SQL["api_token"],
)


class CredentialStore:
    """See ``guard.Credentials``.

    Args:
        database: Holds the truth.
        redis: Holds copies; while it is away every request looks into the database.
    """

    def __init__(self, database: AsyncDatabase, redis: MultiplexedRedis) -> None:
        self._database = database
        self._redis = redis
        self._rechecking: set[str] = set()

    async def session(self, token: str) -> Principal | None:
        """Return who holds the live session; a session is kept alive by this."""
        return await self._find(_SESSION, token)

    async def api_token(self, token: str) -> Principal | None:
        """Return who holds the live API token."""
        return await self._find(_API_TOKEN, token)

    def known_session(self, token: str) -> Principal | None:
        """Return who holds the live session, where that is at hand."""
        return self._known(_SESSION, token)

    def known_api_token(self, token: str) -> Principal | None:
        """Return who holds the live API token, where that is at hand."""
        return self._known(_API_TOKEN, token)

    async def forget_session(self, token: str) -> None:
        """Refuse the copies of a session that has ended in the database."""
        try:
            await self._redis.execute(
                "SET", session_key(token_hash(token)), REVOKED, "EX", REVOKED_TTL_S
            )
        except CacheUnavailable:
            return  # see RECHECK_S

    async def _find(self, sort: _Sort, token: str) -> Principal | None:
        if not sort.pattern.fullmatch(token):
            return None
        digest = token_hash(token)
        key, now_s = sort.key(digest), time.time()
        cached = await self._cached(sort, key)
        if cached == _REVOKED:
            return None
        copy = _readable(cached)
        if copy is None:
            copy = await self._looked_up(sort, digest, None)
        elif abs(now_s - copy.checked_at_s) >= RECHECK_S and key not in self._rechecking:
            # One request looks, not all that come meanwhile.
            self._rechecking.add(key)
            try:
                copy = await self._looked_up(sort, digest, copy)
            finally:
                self._rechecking.discard(key)
        if copy is None or copy.expires_at_s <= now_s:
            return None
        return _principal(copy, sort)

    def _known(self, sort: _Sort, token: str) -> Principal | None:
        if len(token) > _LONGEST_TOKEN:
            return None
        key, now_s = _key(sort, token), time.time()
        # A session's is read again by `session` alone, which lets it live on.
        copy = _readable(self._redis.known(key, renew=sort is not _SESSION))
        if copy is None or copy.expires_at_s <= now_s:
            return None
        if abs(now_s - copy.checked_at_s) >= RECHECK_S and key not in self._rechecking:
            return None
        return _principal(copy, sort)

    async def _looked_up(self, sort: _Sort, digest: bytes, copy: _Copy | None) -> _Copy | None:
        key, now_s = sort.key(digest), time.time()
        parameters = {"hash": digest, "cached": copy is not None, "idle_s": sort.idle_s}
        try:
            rows = await self._database.fetch(sort.statement, parameters)
        except StoreUnavailable:
            if copy is None:
                raise
            return copy  # nobody can have revoked it there meanwhile
        if not rows:
            if copy is not None:
                await self._drop(key)
            return None
        fresh = _copy(rows[0], now_s)
        await self._keep(key, fresh, sort.idle_s)
        return fresh

    async def _cached(self, sort: _Sort, key: str) -> bytes | None:
        try:
            if sort is _SESSION:
                return await self._redis.get_sliding(key, sort.idle_s)
            # A token's copy need not slide: it is written anew each RECHECK_S.
            return await self._redis.get(key)
        except CacheUnavailable:
            return None

    async def _keep(self, key: str, copy: _Copy, idle_s: int) -> None:
        try:
            await self._redis.execute(
                "EVAL", _KEEP_UNLESS_REVOKED, 1, key, _encode(copy), idle_s, REVOKED
            )
        except CacheUnavailable:
            return  # the next request looks into the database again

    async def _drop(self, key: str) -> None:
        try:
            await self._redis.execute("DEL", key)
        except CacheUnavailable:
            return  # see RECHECK_S


def token_hash(token: str) -> bytes:
    """Return what is stored of a token: of 256 random bits a fast hash is enough."""
    return hashlib.sha256(token.encode()).digest()


@lru_cache(_READ_BEFORE)
def _key(sort: _Sort, token: str) -> str:
    return sort.key(token_hash(token))


@lru_cache(_READ_BEFORE)
def _readable(cached: bytes | None) -> _Copy | None:
    if cached is None:
        return None
    try:
        return _decode(cached)
    except msgspec.DecodeError:
        return None


def _copy(row: Row, now_s: float) -> _Copy:
    user_id, username, role, scopes, expires_at = row
    return _Copy(
        user_id,
        username,
        Role(role),
        frozenset(Scope(scope) for scope in scopes),
        expires_at.timestamp(),
        now_s,
    )


@lru_cache(_READ_BEFORE)
def _principal(copy: _Copy, sort: _Sort) -> Principal:
    return Principal(
        copy.user_id,
        copy.username,
        copy.role,
        copy.scopes,
        sort.via,
        datetime.fromtimestamp(copy.expires_at_s, UTC),
    )
