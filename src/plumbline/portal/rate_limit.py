"""How many requests one address may send."""

import asyncio
import math
import time
from collections.abc import Coroutine
from functools import lru_cache
from typing import Any

import msgspec

from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.errors import CacheUnavailable

WINDOW_S = 300

_MOST_WINDOWS = 10_000

# A process need not ask about each request: of what was left for an address when it last asked, it
# lets a twentieth through by itself. It tells the others of them so often while more come.
_SHARE = 20
_TELL_EVERY_S = 0.1

# The window begins with its first request and ends by itself.
_COUNT = """
local count = redis.call('INCRBY', KEYS[1], ARGV[2])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    left = tonumber(ARGV[1])
    redis.call('PEXPIRE', KEYS[1], left)
end
return {count, left}
"""


class Quota(msgspec.Struct, frozen=True):
    """What is left for an address.

    Attributes:
        limit: Requests a window.
        remaining: Of them; -1 where this request is one too many.
        reset_s: Until the window ends.
    """

    limit: int
    remaining: int
    reset_s: int

    @property
    def exceeded(self) -> bool:
        """Whether this request is one too many."""
        return self.remaining < 0

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the fields of draft-ietf-httpapi-ratelimit-headers."""
        remaining = 0 if self.exceeded else self.remaining
        return [
            (b"ratelimit-policy", _policy(self.limit)),
            (b"ratelimit", b'"default";r=%d;t=%d' % (remaining, self.reset_s)),
        ]


class _Window(msgspec.Struct):
    """What a process knows of an address.

    Attributes:
        ends_s: On the monotonic clock.
        told: Requests that all processes had told of at the last answer.
        share: Requests that this process might then let through without asking.
        telling: Requests of this process that the others are being told of.
        untold: Requests of this process that the others do not know of.
        tell_at_s: When they are to be told, on the monotonic clock.
        teller: Tells them while requests go on.
    """

    ends_s: float
    told: int = 0
    share: int = 0
    telling: int = 0
    untold: int = 0
    tell_at_s: float = 0.0
    teller: asyncio.Task[int] | None = None


class RateLimit:
    """Counts requests by address in windows of WINDOW_S seconds.

    Processes count together in Redis without waiting for each other, see _SHARE. One process lets
    exactly the limit through; each further one 5 % more at most, where they serve an address at the
    same time. While Redis is away, each counts for itself.

    Args:
        redis: Shared by all processes.
        limit: Requests a window.
    """

    def __init__(self, redis: MultiplexedRedis, limit: int) -> None:
        self._redis = redis
        self._limit = limit
        self._windows: dict[str, _Window] = {}

    async def take(self, subject: str) -> Quota:
        """Count one request."""
        known = self.take_known(subject)
        if known is not None:
            return known
        window = self._windows.pop(subject, None)
        if window is None or window.ends_s <= time.monotonic():
            window = _Window(time.monotonic() + WINDOW_S)
        while len(self._windows) >= _MOST_WINDOWS:
            self._windows.pop(next(iter(self._windows)))  # asked for least recently
        self._windows[subject] = window
        window.untold += 1
        number = await self._tell(subject, window)
        return self._quota(window, number, time.monotonic())

    def take_known(self, subject: str) -> Quota | None:
        """Count one request by what this process knows; None, uncounted, where it has to ask."""
        window, now_s = self._windows.get(subject), time.monotonic()
        if window is None or window.ends_s <= now_s:
            return None
        if window.telling + window.untold >= window.share:
            return None
        window.untold += 1
        if window.tell_at_s <= now_s:
            window.teller = asyncio.create_task(self._tell(subject, window))
        return self._quota(window, window.told + window.telling + window.untold, now_s)

    def _tell(self, subject: str, window: _Window) -> Coroutine[Any, Any, int]:
        """Begin to tell the others; what is returned gives the number of the last one told."""
        number, window.untold = window.untold, 0
        window.telling += number
        window.tell_at_s = time.monotonic() + _TELL_EVERY_S
        return self._ask(subject, window, number)

    async def _ask(self, subject: str, window: _Window, number: int) -> int:
        try:
            window.told, left_ms = await self._redis.execute(
                "EVAL", _COUNT, 1, f"ratelimit:{subject}", WINDOW_S * 1000, number
            )
            window.ends_s = time.monotonic() + left_ms / 1000
        except CacheUnavailable:
            window.told += number
        finally:
            window.telling -= number
        window.share = (self._limit - window.told) // _SHARE
        return window.told

    def _quota(self, window: _Window, number: int, now_s: float) -> Quota:
        left_s = math.ceil(window.ends_s - now_s)
        return Quota(self._limit, max(-1, self._limit - number), max(1, left_s))


@lru_cache(1)
def _policy(limit: int) -> bytes:
    return b'"default";q=%d;w=%d' % (limit, WINDOW_S)
