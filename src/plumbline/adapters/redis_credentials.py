"""Copies of sessions and API tokens on Redis.

``session:{sha256}`` lives for 1800 s after its last use, ``api_token:{sha256}`` for a shorter time.
The portal trusts a copy for RECHECK_S seconds, then looks into the database again: that bounds what
a revocation misses while Redis cannot be reached.
"""

from collections.abc import Iterable

from plumbline.adapters.redis import available, connect
from plumbline.ports import Revoked

SESSION_IDLE_S = 1800
API_TOKEN_IDLE_S = 300
RECHECK_S = 10

REVOKED = "revoked"
"""Stands in a copy's place, so that a request under way does not write the copy again."""

REVOKED_TTL_S = 120
"""Longer than any request."""


def session_key(digest: bytes) -> str:
    """Return the key of a session's copy."""
    return f"session:{digest.hex()}"


def api_token_key(digest: bytes) -> str:
    """Return the key of an API token's copy."""
    return f"api_token:{digest.hex()}"


class RedisCredentialCache:
    """See ``ports.CredentialCache``.

    Args:
        url: Of the server, see ``redis.connect``.
    """

    def __init__(self, url: str) -> None:
        self._client = connect(url)

    def revoke(self, revoked: Revoked) -> None:
        """Refuse them from now on, whatever the copies say.

        Raises:
            CacheUnavailable: The server cannot be reached.
        """
        with available(), self._client.pipeline(transaction=False) as pipeline:
            for key in _keys(revoked):
                pipeline.set(key, REVOKED, ex=REVOKED_TTL_S)
            pipeline.execute()

    def forget(self, revoked: Revoked) -> None:
        """Let the next request look them up.

        Raises:
            CacheUnavailable: The server cannot be reached.
        """
        with available(), self._client.pipeline(transaction=False) as pipeline:
            for key in _keys(revoked):
                pipeline.delete(key)
            pipeline.execute()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _keys(revoked: Revoked) -> Iterable[str]:
    yield from map(session_key, revoked.sessions)
    yield from map(api_token_key, revoked.tokens)
