"""People who look at the portal while everything runs."""

import itertools
import random
import threading
from collections import Counter
from collections.abc import Sequence

from proofs.chaos.portal import UNANSWERED, Portal

_PATHS = (
    "/api/v1/devices/{device}/status",
    "/api/v1/devices/{device}/series?points=200",
    "/api/v1/devices/{device}/status",
    "/api/v1/devices/{device}/readings?limit=50",
    "/api/v1/devices/{device}/status",
    "/api/v1/devices?limit=100",
    "/api/v1/stats",
    "/health",
)


class Visitors(threading.Thread):
    """Ask for one thing after the other until stopped.

    Args:
        portal: Asks.
        device_ids: About whom.
        after_s: Until the first request: before its first reading a device has no status.
        every_s: Between two requests.
        seed: Of who is asked about.
    """

    def __init__(
        self,
        portal: Portal,
        device_ids: Sequence[str],
        *,
        after_s: float,
        every_s: float,
        seed: str,
    ) -> None:
        super().__init__(name="visitors", daemon=True)
        self.answers: Counter[str] = Counter()
        self._portal = portal
        self._device_ids = device_ids
        self._after_s = after_s
        self._every_s = every_s
        self._rng = random.Random(f"{seed}/visitors")
        self._stopping = threading.Event()

    def run(self) -> None:
        """Ask until stopped."""
        if self._stopping.wait(self._after_s):
            return
        for path in itertools.cycle(_PATHS):
            if self._stopping.wait(self._every_s):
                return
            wanted = path.format(device=self._rng.choice(self._device_ids))
            try:
                status, _ = self._portal.request("GET", wanted)
                self.answers[str(status)] += 1
            except UNANSWERED as error:
                self.answers[type(error).__name__] += 1

    def stop(self) -> None:
        """End after the request under way."""
        self._stopping.set()
        self.join()
