"""Looks at what the system shows, all the time: never back, and never old under a new date."""

import json
import random
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, cast

import psycopg
import redis

from plumbline.adapters.redis_entries import status_key
from plumbline.errors import PlumblineError
from proofs.chaos.portal import UNANSWERED, Portal

_EVERY_S = 0.2
_REMEMBERED_LOOKS = 3000
_EMPTIED_KEY = "chaos:emptied"


@dataclass(frozen=True, slots=True)
class _Look:
    """What the database had.

    Attributes:
        at: When its answer had come.
        last_seen: Device time of each device's newest reading.
    """

    at: datetime
    last_seen: Mapping[str, datetime]


class History:
    """What the database had, look by look."""

    def __init__(self) -> None:
        self._looks: deque[_Look] = deque(maxlen=_REMEMBERED_LOOKS)

    def add(self, last_seen: Mapping[str, datetime]) -> list[str]:
        """Remember a look; return what has moved back since the last."""
        before = self._looks[-1].last_seen if self._looks else {}
        self._looks.append(_Look(datetime.now(UTC), last_seen))
        return [
            f"device_status of {device_id} went back from {was} to {last_seen.get(device_id)}"
            for device_id, was in before.items()
            if last_seen.get(device_id, _NEVER) < was
        ]

    def is_stale(self, device_id: str, last_seen: datetime, as_of: datetime) -> bool:
        """Tell whether something newer had been in the database before ``as_of``."""
        for look in reversed(list(self._looks)):
            if look.at <= as_of:
                return look.last_seen.get(device_id, _NEVER) > last_seen
        return False


class Watch(threading.Thread, ABC):
    """Looks again and again until stopped; what cannot be reached is looked at later."""

    def __init__(self) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self.looks = 0
        self.problems: list[str] = []
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopping.wait(_EVERY_S):
            try:
                self.look()
            except (psycopg.Error, redis.RedisError, PlumblineError, *UNANSWERED):
                self.forget()
            else:
                self.looks += 1
        self.forget()

    def stop(self) -> None:
        """End after the look under way."""
        self._stopping.set()
        self.join()

    @abstractmethod
    def look(self) -> None:
        """Look once."""

    @abstractmethod
    def forget(self) -> None:
        """Open another connection next time."""


class DatabaseWatch(Watch):
    """Looks at ``device_status``.

    Args:
        url: Not through a proxy.
        history: Gets the looks.
    """

    def __init__(self, url: str, history: History) -> None:
        super().__init__()
        self._url = url
        self._history = history
        self._connection: psycopg.Connection[Any] | None = None

    def look(self) -> None:
        """Remember what is there."""
        if self._connection is None:
            self._connection = psycopg.connect(self._url, connect_timeout=2, autocommit=True)
        rows = self._connection.execute("SELECT device_id, last_seen FROM device_status").fetchall()
        self.problems += self._history.add(dict(rows))

    def forget(self) -> None:
        """Open another connection next time."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def empty_cache(url: str, device_ids: Sequence[str]) -> None:
    """Take the devices' statuses out of Redis, and count that there.

    Raises:
        redis.RedisError: It cannot be reached.
    """
    with redis.Redis.from_url(url, socket_timeout=1) as cache, cache.pipeline() as transaction:
        transaction.delete(*[status_key(device_id) for device_id in device_ids])
        transaction.incr(_EMPTIED_KEY)
        transaction.execute()


class CacheWatch(Watch):
    """Looks at the statuses in Redis.

    A Redis that was killed may have forgotten its last second; one that `empty_cache` has emptied
    has nothing to go back from, also where it was filled again before the next look.

    Args:
        url: Not through a proxy.
        device_ids: Whose statuses.
        history: Of the database.
    """

    def __init__(self, url: str, device_ids: Sequence[str], history: History) -> None:
        super().__init__()
        self._client = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=10, socket_connect_timeout=2
        )
        self._device_ids = device_ids
        self._history = history
        self._life: tuple[str, str | None] = ("", None)
        self._before: dict[str, datetime] = {}

    def look(self) -> None:
        """Hold what is there against the last look, and against the database."""
        run = self._client.info("server")["run_id"]
        keys = [status_key(device_id) for device_id in self._device_ids]
        emptied, *values = cast("list[str | None]", self._client.mget(_EMPTIED_KEY, *keys))
        now = datetime.now(UTC)
        if self._life != (run, emptied):
            self._life, self._before = (run, emptied), {}
        found: dict[str, datetime] = {}
        for device_id, value in zip(self._device_ids, values, strict=True):
            if value is None:
                continue
            entry = json.loads(value)
            last_seen = found[device_id] = datetime.fromisoformat(entry["last_seen"])
            synced_at = datetime.fromisoformat(entry["synced_at"])
            if last_seen < self._before.get(device_id, _NEVER):
                self.problems.append(
                    f"the cached status of {device_id} went back"
                    f" from {self._before[device_id]} to {last_seen}"
                )
            # What has a date of the future was written by a clock that had jumped.
            if synced_at <= now and self._history.is_stale(device_id, last_seen, synced_at):
                self.problems.append(
                    f"the cached status of {device_id} of {last_seen} says {synced_at},"
                    " when the database had a newer one"
                )
        self._before = found

    def forget(self) -> None:
        """Open another connection next time."""
        self._client.close()


class PortalWatch(Watch):
    """Asks for the status of one device after the other.

    Args:
        portal: Whom.
        device_ids: Of which.
        history: Of the database.
    """

    def __init__(self, portal: Portal, device_ids: Sequence[str], history: History) -> None:
        super().__init__()
        self._portal = portal
        self._device_ids = device_ids
        self._history = history

    def look(self) -> None:
        """Hold the answer and the age that it states against the database."""
        device_id = random.choice(self._device_ids)
        asked_at = datetime.now(UTC)
        status, answer = self._portal.request("GET", f"/api/v1/devices/{device_id}/status")
        if status != HTTPStatus.OK:  # it does not know, and says so
            return
        as_of = asked_at - timedelta(seconds=answer["age_s"])
        last_seen = datetime.fromisoformat(answer["last_seen"])
        if self._history.is_stale(device_id, last_seen, as_of):
            self.problems.append(
                f"the portal showed {device_id} of {last_seen} as {answer['age_s']} s old at"
                f" {asked_at}, when the database had a newer one"
            )

    def forget(self) -> None:
        """Every request has a connection of its own."""


_NEVER = datetime.min.replace(tzinfo=UTC)
