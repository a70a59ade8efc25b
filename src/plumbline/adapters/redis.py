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
from plumbline.domain.reading import format_time
from plumbline.errors import CacheUnavailable
from plumbline.ports import DeviceStatus, FleetStatistics

STATUS_TTL_S = 300
STATISTICS_TTL_S = 600

STATISTICS_KEY = "stats:fleet"
_CONNECT_TIMEOUT_S = 1.0
_ANSWER_TIMEOUT_S = 2.0

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

# KEYS: of the statuses; ARGV: TTL in seconds, then last_seen and value of each. Times are compared
# as digits, because Redis compares text by its locale: year to second is 14 digits, then
# microseconds where there are some.
PUT_NEWER = """
local function moment(text)
    local digits = string.gsub(text, '%D', '')
    return digits .. string.rep('0', 20 - #digits)
end
local written = 0
for i, key in ipairs(KEYS) do
    local last_seen, value = ARGV[2 * i], ARGV[2 * i + 1]
    local newer = false
    local cached = redis.call('GET', key)
    if cached then
        local readable, status = pcall(cjson.decode, cached)
        newer = readable and type(status) == 'table' and type(status.last_seen) == 'string'
            and moment(status.last_seen) > moment(last_seen)
    end
    if not newer then
        redis.call('SET', key, value, 'EX', ARGV[1])
        written = written + 1
    end
end
return written
"""


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


def status_key(device_id: str) -> str:
    """Return the key of a device's status."""
    return f"device:{device_id}:status"


def status_value(status: DeviceStatus, synced_at: str) -> str:
    """Return the JSON that the cache holds of a device."""
    return _ENCODER.encode(
        {
            "device_id": status.device_id,
            "current_status": status.current_status,
            "last_seen": format_time(status.last_seen),
            "tilt_angle": status.tilt_angle_deg,
            "battery_level": status.battery_level_pct,
            "synced_at": synced_at,
        }
    )


def statistics_value(statistics: FleetStatistics, synced_at: str) -> str:
    """Return the JSON that the cache holds of the fleet."""
    stalest = statistics.stalest_last_seen
    return _ENCODER.encode(
        {
            "devices": statistics.devices,
            "by_status": dict(statistics.by_status),
            "readings_last_hour": statistics.readings_last_hour,
            "stalest_device_id": statistics.stalest_device_id,
            "stalest_last_seen": None if stalest is None else format_time(stalest),
            "synced_at": synced_at,
        }
    )


@contextmanager
def available() -> Iterator[None]:
    """Turn every failure of the client into CacheUnavailable."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise CacheUnavailable(str(error) or type(error).__name__) from error
