"""Ends the process where something does not come back, as Lambda ends a function at its timeout.

Nothing else ends a call that waits for a server which has gone without a word. What was under way
comes again; whoever started the process starts it anew.
"""

import os
import threading
from collections.abc import Callable

_TICK_S = 1.0
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
        complain: Called once, with the name of the heart that beats no more.
        end: Called then; ends the process by default.
    """

    def __init__(
        self,
        complain: Callable[[str], None],
        end: Callable[[], None] | None = None,
        tick_s: float = _TICK_S,
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._hearts: list[Heart] = []
        self._complain = complain
        self._end = end or _end_process
        self._tick_s = tick_s
        self._stopping = threading.Event()

    def heart(self, name: str, limit_s: float) -> Heart:
        """Return another heart to listen to."""
        heart = Heart(name, limit_s)
        self._hearts.append(heart)
        return heart

    def run(self) -> None:
        """Listen until stopped."""
        while not self._stopping.wait(self._tick_s):
            for heart in self._hearts:
                if heart.grow_older(self._tick_s):
                    self._complain(heart.name)
                    self._end()
                    return

    def stop(self) -> None:
        """Listen no more."""
        self._stopping.set()


def _end_process() -> None:
    os._exit(_EXIT_STATUS)  # what hangs would not let go
