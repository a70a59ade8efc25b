"""Virtual time, and what runs in it."""

import heapq
import itertools
from collections.abc import Generator
from datetime import UTC, datetime, timedelta

Process = Generator[float, None, None]
"""Runs until it yields how many seconds it waits."""

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Scheduler:
    """Runs processes in virtual time; of two at the same moment, who asked first."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self._due: list[tuple[float, int, Process]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """Return the virtual time, aware UTC."""
        return _BEGIN + timedelta(seconds=self.elapsed_s)

    def start(self, process: Process, delay_s: float = 0.0) -> None:
        """Run it in so many seconds."""
        heapq.heappush(self._due, (self.elapsed_s + delay_s, next(self._order), process))

    def run_until(self, elapsed_s: float) -> None:
        """Run everything that is due by then."""
        while self._due and self._due[0][0] <= elapsed_s:
            self.elapsed_s, _, process = heapq.heappop(self._due)
            wait_s = next(process, None)
            if wait_s is not None:
                self.start(process, wait_s)
        self.elapsed_s = elapsed_s


class JumpingClock:
    """The clock of one machine, which may be wrong."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.ahead_s = 0.0

    def now(self) -> datetime:
        """Return what it says, aware UTC."""
        return self._scheduler.now() + timedelta(seconds=self.ahead_s)
