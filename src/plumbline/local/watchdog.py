"""Ends the process where a function does not come back, as Lambda ends one at its timeout.

Nothing else ends a call that waits for a server which has gone without a word. What was under way
comes again; the supervisor starts a new process.
"""

import os
import threading
from collections.abc import Callable

from plumbline.lambdas.runtime import logger
from plumbline.topology import Function

_log = logger("watchdog")

_TICK_S = 1.0
_MARGIN_S = 30.0
_EXIT_STATUS = 70


class Heart:
    """Of one thread: beats while something is under way that must come to its end.

    Args:
        name: For the log.
        limit_s: Longest time between two beats.
    """

    def __init__(self, name: str, limit_s: float) -> None:
        self.name = name
        self.limit_s = limit_s
        self._since_s: float | None = None

    def beat(self) -> None:
        """Something begins; what was before it has ended."""
        self._since_s = 0.0

    def rest(self) -> None:
        """Nothing is under way."""
        self._since_s = None

    def grow_older(self, seconds: float) -> bool:
        """Count time; return whether it is too long since the last beat."""
        if self._since_s is None:
            return False
        self._since_s += seconds
        return self._since_s > self.limit_s


class Watchdog(threading.Thread):
    """Listens to the hearts.

    Counts its own time: a process that was stopped as a whole is not taken for one that hangs.

    Args:
        end: Called once, with the name of the thread that hangs; ends the process by default.
    """

    def __init__(self, end: Callable[[str], None] | None = None, tick_s: float = _TICK_S) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._hearts: list[Heart] = []
        self._end = end or _end_process
        self._tick_s = tick_s
        self._stopping = threading.Event()

    def heart(self, function: Function) -> Heart:
        """Return the heart of a thread that runs the function."""
        heart = Heart(function.name, function.timeout_s + _MARGIN_S)
        self._hearts.append(heart)
        return heart

    def run(self) -> None:
        """Listen until stopped."""
        while not self._stopping.wait(self._tick_s):
            for heart in self._hearts:
                if heart.grow_older(self._tick_s):
                    self._end(heart.name)
                    return

    def stop(self) -> None:
        """Listen no more."""
        self._stopping.set()


def _end_process(function: str) -> None:
    _log.critical("function_does_not_come_back", function=function)
    os._exit(_EXIT_STATUS)  # what hangs would not let go
