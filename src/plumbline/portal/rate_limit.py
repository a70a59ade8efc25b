"""How many requests one address may send."""

import math
import time
from dataclasses import dataclass

from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.errors import CacheUnavailable

WINDOW_S = 300

_MOST_LOCAL = 10_000

# The window begins with its first request and ends by itself.
_COUNT = """
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    left = tonumber(ARGV[1])
    redis.call('PEXPIRE', KEYS[1], left)
end
return {count, left}
"""


@dataclass(frozen=True, slots=True)
class Quota:
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
        remaining = max(0, self.remaining)
        return [
            (b"ratelimit-policy", b'"default";q=%d;w=%d' % (self.limit, WINDOW_S)),
            (b"ratelimit", b'"default";r=%d;t=%d' % (remaining, self.reset_s)),
        ]


class RateLimit:
    """Counts requests by address in windows of WINDOW_S seconds.

    Args:
        redis: Where all processes count together; while it is away, each counts for itself.
        limit: Requests a window.
    """

    def __init__(self, redis: MultiplexedRedis, limit: int) -> None:
        self._redis = redis
        self._limit = limit
        self._local: dict[str, tuple[int, float]] = {}

    async def take(self, subject: str) -> Quota:
        """Count one request."""
        try:
            count, left_ms = await self._redis.execute(
                "EVAL", _COUNT, 1, f"ratelimit:{subject}", WINDOW_S * 1000
            )
        except CacheUnavailable:
            count, left_ms = self._take_local(subject)
        remaining = max(-1, self._limit - count)
        return Quota(self._limit, remaining, max(1, math.ceil(left_ms / 1000)))

    def _take_local(self, subject: str) -> tuple[int, float]:
        now_s = time.monotonic()
        count, ends_s = self._local.pop(subject, (0, 0.0))
        if ends_s <= now_s:
            count, ends_s = 0, now_s + WINDOW_S
        while len(self._local) >= _MOST_LOCAL:
            self._local.pop(next(iter(self._local)))  # seen least recently
        self._local[subject] = (count + 1, ends_s)
        return count + 1, (ends_s - now_s) * 1000
