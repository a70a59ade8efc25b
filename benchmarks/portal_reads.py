"""Series of one device among many readings, and exports of all of its readings."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Self

from benchmarks import portal_data
from benchmarks.portal_world import World

_TIMES = 10
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SeriesSpeed:
    """Of one device's readings of so many days, warm.

    Attributes:
        days: Length of the range.
        readings: In it.
        points: Of the answer.
        median_ms, worst_ms: From the request to the whole answer.
    """

    days: int
    readings: int
    points: int
    median_ms: float
    worst_ms: float


@dataclass(frozen=True, slots=True)
class ExportSpeed:
    """Of a whole device as a file.

    Attributes:
        form: ``parquet`` or ``csv``.
        rows: In it.
        rate: Rows a second.
        peak_mb: Resident memory of the process that exports at its most, MiB: Python, Arrow, the
            driver, and what is on its way.
        portal_mb: What the portal's other processes took of their own meanwhile, MiB.
    """

    form: str
    rows: int
    rate: float
    peak_mb: float
    portal_mb: float


def series(world: World) -> list[SeriesSpeed]:
    """Ask for 2,000 points of ranges of several lengths."""
    found = []
    for days in (90, 7, 1):
        until = datetime.now(UTC)
        path = (
            f"/api/v1/devices/dev-7/series?points=2000&to={until:%Y-%m-%dT%H:%M:%SZ}"
            f"&from={until - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
        )
        body = json.loads(world.get(path))
        times_ms = [_timed_s(lambda path=path: world.get(path)) * 1000 for _ in range(_TIMES)]  # type: ignore[misc] # bound early
        found.append(
            SeriesSpeed(days, sum(body["count"]), len(body["t"]), median(times_ms), max(times_ms))
        )
    return found


def exports(world: World, rows: int) -> list[ExportSpeed]:
    """Export a device of so many readings, and watch the memory."""
    portal_data.add_large_device(world.system.endpoints.database_url, "dev-large", rows)
    found = []
    for form in ("parquet", "csv"):
        path = f"/api/v1/devices/dev-large/readings.{form}"
        before_mb = world.portal_mb()
        with _Peak(world.export_mb) as peak:
            took_s = _timed_s(lambda path=path: _drain(world, path))  # type: ignore[misc] # bound early
        took_mb = world.portal_mb() - before_mb
        found.append(ExportSpeed(form, rows, rows / took_s, peak.highest, took_mb))
    return found


class _Peak:
    """Looks at a figure ten times a second."""

    def __init__(self, figure: Callable[[], float]) -> None:
        self._figure = figure
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.highest = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.highest = max(self.highest, self._figure())


def _timed_s(action: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    action()
    return time.perf_counter() - began_s


def _drain(world: World, path: str) -> None:
    with world.asked(path) as response:
        while response.read(_BLOCK_BYTES):
            pass
