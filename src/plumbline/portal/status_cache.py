"""Device status and fleet statistics: from the cache, else from the database and into the cache."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha1

import msgspec

from plumbline.adapters.postgres.async_database import AsyncDatabase
from plumbline.adapters.postgres.queries import load
from plumbline.adapters.postgres.statuses import fleet_parameters, fleet_statistics
from plumbline.adapters.redis_entries import (
    PUT_NEWER,
    STATISTICS_KEY,
    STATISTICS_TTL_S,
    STATUS_TTL_S,
    statistics_value,
    status_key,
    status_value,
)
from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.domain.reading import format_time
from plumbline.errors import CacheUnavailable
from plumbline.ports import Clock, DeviceStatus

AHEAD = timedelta(seconds=5)
"""How far ahead of ours the clock may be of whoever wrote into the cache. What says to be newer was
written by a clock that was wrong: nobody knows how old it is."""

_SQL = load("portal.sql")
_STATUSES = load("statuses.sql")
_PUT_NEWER_SHA = sha1(PUT_NEWER.encode(), usedforsecurity=False).hexdigest()  # EVALSHA's name


class CachedStatus(msgspec.Struct, frozen=True):
    """What the cache holds of a device; whatever else is there counts as nothing."""

    device_id: str
    current_status: str
    last_seen: datetime
    tilt_angle: float
    battery_level: int | None
    synced_at: datetime


class CachedStatistics(msgspec.Struct, frozen=True):
    """What the cache holds of the fleet."""

    devices: int
    by_status: dict[str, int]
    readings_last_hour: int
    stalest_device_id: str | None
    stalest_last_seen: datetime | None
    synced_at: datetime


decode_status = msgspec.json.Decoder(CachedStatus).decode
_decode_statistics = msgspec.json.Decoder(CachedStatistics).decode


class StatusReader:
    """Reads through the cache; without it, slower.

    What is not in the cache is read once however many ask for it at the same time.
    """

    def __init__(self, database: AsyncDatabase, redis: MultiplexedRedis, clock: Clock) -> None:
        self._database = database
        self._redis = redis
        self._clock = clock
        self._flights: dict[str, asyncio.Task[bytes | None]] = {}

    async def status(self, device_id: str) -> tuple[bytes, datetime] | None:
        """Return the device's status as JSON and its ``synced_at``; None if it never reported.

        Raises:
            StoreUnavailable: Not in the cache, and the database cannot serve.
        """
        key = status_key(device_id)
        cached = await self._cached(key)
        if cached is not None:
            try:
                status = decode_status(cached)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                pass  # not ours: read the truth and write it there
            else:
                if status.device_id == device_id and self._is_past(status.synced_at):
                    return cached, status.synced_at
        value = await self._once(key, lambda: self._load_status(device_id))
        return None if value is None else (value, decode_status(value).synced_at)

    async def statistics(self) -> tuple[bytes, datetime]:
        """Return the fleet's statistics as JSON and their ``synced_at``.

        Raises:
            StoreUnavailable: Not in the cache, and the database cannot serve.
        """
        cached = await self._cached(STATISTICS_KEY)
        if cached is not None:
            try:
                synced_at = _decode_statistics(cached).synced_at
            except (msgspec.MsgspecError, UnicodeDecodeError):
                pass
            else:
                if self._is_past(synced_at):
                    return cached, synced_at
        value = await self._once(STATISTICS_KEY, self._load_statistics)
        assert value is not None  # noqa: S101 - a fleet of nothing has statistics, too
        return value, _decode_statistics(value).synced_at

    def _is_past(self, synced_at: datetime) -> bool:
        return synced_at <= self._clock.now() + AHEAD

    async def _cached(self, key: str) -> bytes | None:
        try:
            return await self._redis.get(key)
        except CacheUnavailable:
            return None

    async def _once(self, key: str, read: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        flight = self._flights.get(key)
        if flight is None:

            async def fly() -> bytes | None:
                try:
                    return await read()
                finally:
                    del self._flights[key]

            flight = self._flights[key] = asyncio.create_task(fly())
        # Shielded: a caller that goes away must not take the answer from the others.
        return await asyncio.shield(flight)

    async def _load_status(self, device_id: str) -> bytes | None:
        synced_at = self._clock.now()
        rows = await self._database.fetch(_SQL["device_status"], {"device_id": device_id})
        if not rows:
            return None
        found, current, last_seen, tilt_angle, battery = rows[0]
        status = DeviceStatus(found, current, last_seen.astimezone(UTC), tilt_angle, battery)
        value = status_value(status, format_time(synced_at))
        arguments = (STATUS_TTL_S, format_time(status.last_seen), value)
        with suppress(CacheUnavailable):  # the next one reads the database, too
            await self._put_newer(status_key(device_id), arguments)
        return value.encode()

    async def _put_newer(self, key: str, arguments: tuple[int, str, str]) -> None:
        try:
            await self._redis.execute("EVALSHA", _PUT_NEWER_SHA, 1, key, *arguments)
        except CacheUnavailable as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
            await self._redis.execute("EVAL", PUT_NEWER, 1, key, *arguments)

    async def _load_statistics(self) -> bytes:
        now = self._clock.now()
        (row,) = await self._database.fetch(_STATUSES["fleet"], fleet_parameters(now))
        value = statistics_value(fleet_statistics(row), format_time(now))
        with suppress(CacheUnavailable):
            await self._redis.execute("SET", STATISTICS_KEY, value, "EX", STATISTICS_TTL_S, "NX")
        return value.encode()
