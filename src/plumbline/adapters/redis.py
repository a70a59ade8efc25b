"""The status cache on Redis.

A cache and nothing more: everything in it can be made again from the database. So timeouts are
short, and whoever cannot reach it goes to the database.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

import redis

from plumbline.adapters.redis_access import TokenProvider, split_url
from plumbline.adapters.redis_entries import (
    PUT_NEWER,
    STATISTICS_KEY,
    STATISTICS_TTL_S,
    STATUS_TTL_S,
    statistics_value,
    status_key,
    status_value,
)
from plumbline.domain.reading import format_time
from plumbline.errors import CacheUnavailable
from plumbline.ports import DeviceStatus, FleetStatistics

_CONNECT_TIMEOUT_S = 1.0
_ANSWER_TIMEOUT_S = 2.0


def connect(url: str) -> redis.Redis:
    """Return a client that gives up soon; it connects at its first command.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…``, or one with ``+iam``.
    """
    plain, sign_in = split_url(url)
    return redis.Redis.from_url(
        plain,
        credential_provider=None if sign_in is None else TokenProvider(sign_in),
        decode_responses=True,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=_ANSWER_TIMEOUT_S,
    )


class RedisStatusCache:
    """The status cache on Redis.

    Args:
        url: Of the server, see ``connect``.
    """

    def __init__(self, url: str) -> None:
        self._client = connect(url)
        self._put_newer = self._client.register_script(PUT_NEWER)

    def put_statuses(self, statuses: Sequence[DeviceStatus], synced_at: datetime) -> int:
        """Write ``device:{id}:status``, never over a newer ``last_seen``; return how many.

        Raises:
            CacheUnavailable: Any part of them may have been written.
        """
        if not statuses:
            return 0
        synced = format_time(synced_at)
        arguments: list[str | int] = [STATUS_TTL_S]
        for status in statuses:
            arguments += (format_time(status.last_seen), status_value(status, synced))
        with available():
            keys = [status_key(status.device_id) for status in statuses]
            return cast("int", self._put_newer(keys=keys, args=arguments))

    def put_statistics(self, statistics: FleetStatistics, synced_at: datetime) -> None:
        """Write ``stats:fleet``.

        Raises:
            CacheUnavailable: The server cannot be reached.
        """
        value = statistics_value(statistics, format_time(synced_at))
        with available():
            self._client.set(STATISTICS_KEY, value, ex=STATISTICS_TTL_S)

    def get_status(self, device_id: str) -> Mapping[str, Any] | None:
        """Return the cached status, or None where there is none or it has expired.

        Raises:
            CacheUnavailable: The server cannot be reached, or what it holds is not ours.
        """
        return self._get(status_key(device_id))

    def get_statistics(self) -> Mapping[str, Any] | None:
        """Return the cached statistics, or None.

        Raises:
            CacheUnavailable: The server cannot be reached, or what it holds is not ours.
        """
        return self._get(STATISTICS_KEY)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _get(self, key: str) -> Mapping[str, Any] | None:
        with available():
            text = self._client.get(key)
        if text is None:
            return None
        try:
            value = json.loads(cast("str", text))
        except ValueError as error:
            msg = f"{key} does not hold JSON"
            raise CacheUnavailable(msg) from error
        if not isinstance(value, dict):
            msg = f"{key} does not hold a JSON object"
            raise CacheUnavailable(msg)
        return value


@contextmanager
def available() -> Iterator[None]:
    """Turn every failure of the client into CacheUnavailable."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise CacheUnavailable(str(error) or type(error).__name__) from error
