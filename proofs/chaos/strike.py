"""Does to the system what the plan says, at its moments."""

import threading
import time
from collections.abc import Callable, Sequence

import redis

from proofs.chaos.plan import EVERYTHING, Fault, Kind
from proofs.chaos.proxy import Link
from proofs.chaos.system_process import SystemUnderFire, resume
from proofs.chaos.watch import empty_cache

_DELAY_S = 0.05
_LOST = 0.3
_REFUSED = 0.1


class Striker:
    """Strikes one system.

    Args:
        system: Which.
        device_ids: Whose statuses an emptied cache loses.
        delay_s: Of a slow link; the usual for None.
    """

    def __init__(
        self, system: SystemUnderFire, device_ids: Sequence[str], delay_s: float | None
    ) -> None:
        self._system = system
        self._device_ids = device_ids
        self._delay_s = _DELAY_S if delay_s is None else delay_s
        self._lasting: list[threading.Timer] = []

    def strike(
        self, faults: Sequence[Fault], striking_s: float, struck: Callable[[Fault, bool], None]
    ) -> None:
        """Strike, and wait for the end of the last fault.

        Args:
            faults: In their order.
            striking_s: What their moments are fractions of; a new start of everything comes on top.
            struck: Told of each as it strikes, and whether there was anything to strike.
        """
        began = time.monotonic()
        for fault in faults:
            time.sleep(max(0.0, began + fault.at * striking_s - time.monotonic()))
            now = time.monotonic()
            struck(fault, self._do(fault))
            if fault.part == EVERYTHING:
                began += time.monotonic() - now
        for timer in self._lasting:
            timer.join()

    def _do(self, fault: Fault) -> bool:
        system = self._system
        match fault.kind:
            case Kind.KILL if fault.part == EVERYTHING:
                system.pull_the_plug()
            case Kind.KILL:
                return system.kill(fault.part)
            case Kind.STALL:
                stalled = system.stall(fault.part)
                self._later(fault, lambda: resume(stalled))
                return bool(stalled)
            case Kind.REFUSED:
                system.knobs.refused = _REFUSED
                self._later(fault, lambda: setattr(system.knobs, "refused", 0.0))
            case Kind.JUMP:
                system.knobs.ahead_s = fault.ahead_s
                self._later(fault, lambda: setattr(system.knobs, "ahead_s", 0.0))
            case Kind.FULL:
                disk = system.fill(fault.part)
                self._later(fault, disk.free)
            case Kind.EMPTIED:
                return self._empty_cache()
            case _:
                system.proxies.do(fault.part, self._cut(fault.kind))
                if fault.for_s:
                    self._later(fault, lambda: system.proxies.do(fault.part, Link.heal))
        return True

    def _cut(self, kind: Kind) -> Callable[[Link], None]:
        def slow(link: Link) -> None:
            link.delay_s = self._delay_s

        def lossy(link: Link) -> None:
            link.lost = _LOST

        def silent(link: Link) -> None:
            link.passing.clear()

        return {
            Kind.RESET: Link.reset,
            Kind.FORSAKEN: Link.forsake,
            Kind.SLOW: slow,
            Kind.LOSSY: lossy,
            Kind.SILENT: silent,
        }[kind]

    def _empty_cache(self) -> bool:
        url = self._system.direct("redis", self._system.endpoints.redis_url)
        try:
            empty_cache(url, self._device_ids)
        except redis.RedisError:
            return False
        return True

    def _later(self, fault: Fault, action: Callable[[], None]) -> None:
        timer = threading.Timer(fault.for_s, action)
        timer.start()
        self._lasting.append(timer)
