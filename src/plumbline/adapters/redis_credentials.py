"""Copies of sessions and API tokens on Redis, as whoever revokes them sees them."""

from collections.abc import Iterable

from plumbline.adapters.redis import available, connect
from plumbline.adapters.redis_entries import REVOKED, REVOKED_TTL_S, api_token_key, session_key
from plumbline.ports import Revoked


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
