"""Which fault strikes what, and when: drawn from the seed before anything runs."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

PROCESSES = ("ingestion", "pipeline", "portal", "postgres", "redis", "mosquitto")
LINKS = ("devices", "mosquitto", "postgres", "redis")
DISKS = {"postgres": "postgres", "postgres's journal": "postgres", "mosquitto": "mosquitto"}
"""What cannot be written any more, and on whose disk."""

PARTS = (*PROCESSES, "queues", "cache", "clock", "disks")
"""What can be spared."""

EVERYTHING = "everything"


class Kind(StrEnum):
    """What can be done to a part."""

    KILL = "SIGKILL"
    STALL = "SIGSTOP"
    RESET = "connections reset"
    SLOW = "latency"
    LOSSY = "loss"
    SILENT = "silence"
    FORSAKEN = "connections forsaken"
    """As behind a router that has forgotten them: neither end is told."""
    REFUSED = "entries refused"
    """Some of what is sent to a queue, as a queue service may."""
    EMPTIED = "emptied"
    JUMP = "jump"
    """Of the clock that the system's processes read."""
    FULL = "full disk"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        at: Moment, as a fraction of the time of publishing.
        part: Of PARTS, LINKS or DISKS, or EVERYTHING.
        for_s: How long it lasts; 0 for what happens at once.
        ahead_s: How far a clock jumps.
    """

    at: float
    kind: Kind
    part: str
    for_s: float
    ahead_s: float = 0.0

    def __str__(self) -> str:
        by = f" by {self.ahead_s / 60:+.0f} min" if self.ahead_s else ""
        lasts = f" for {self.for_s:.1f} s" if self.for_s else ""
        return f"{self.at:7.2%}  {self.kind}: {self.part}{by}{lasts}"


def plan_faults(seed: str, kills: int, parts: tuple[str, ...] = PARTS) -> list[Fault]:
    """Return the faults in their order; the same seed and parts, the same faults.

    Every part is killed at least once where there are enough kills, and everything at once where no
    process is spared. Half as many faults as kills come on top: stalls, and links that are cut,
    slow, lossy, silent or forgotten. And about half as many again, of each at least one: queues
    that refuse entries, a cache that is emptied, clocks that jump by minutes or hours, full disks.
    """
    rng = random.Random(f"{seed}/chaos")
    processes = [part for part in PROCESSES if part in parts]
    killed = list(processes)
    if len(processes) == len(PROCESSES):
        killed.append(EVERYTHING)
    # Everything at once costs a new start, so it is rare.
    weights = [0.2 if part == EVERYTHING else 1 for part in killed]
    faults = [
        Fault(
            _moment(rng),
            Kind.KILL,
            killed[n] if n < len(killed) else rng.choices(killed, weights)[0],
            0,
        )
        for n in range(kills)
    ]
    for number in range(kills // 4):
        stall = Fault(_moment(rng), Kind.STALL, rng.choice(processes), rng.uniform(0.5, 4))
        kind = _OF_LINKS[number % len(_OF_LINKS)]
        for_s = 0.0 if kind in _AT_ONCE else rng.uniform(0.5, 4)
        faults += [stall, Fault(_moment(rng), kind, rng.choice(LINKS), for_s)]
    for _ in range(max(1, kills // 10)):
        faults += [fault for part, fault in _others(rng) if part in parts]
    return sorted(faults, key=lambda fault: fault.at)


_OF_LINKS = (Kind.RESET, Kind.SLOW, Kind.FORSAKEN, Kind.LOSSY, Kind.SILENT)
_AT_ONCE = {Kind.RESET, Kind.FORSAKEN}
_JUMP_S = (120.0, 3 * 3600.0)


def _others(rng: random.Random) -> Iterator[tuple[str, Fault]]:
    yield "queues", Fault(_moment(rng), Kind.REFUSED, "queues", rng.uniform(0.5, 3))
    yield "cache", Fault(_moment(rng), Kind.EMPTIED, "cache", 0)
    ahead_s = rng.choice((-1, 1)) * rng.uniform(*_JUMP_S)
    yield "clock", Fault(_moment(rng), Kind.JUMP, "clock", rng.uniform(0.5, 4), ahead_s)
    for disk in DISKS:
        yield "disks", Fault(_moment(rng), Kind.FULL, disk, rng.uniform(2, 6))


def _moment(rng: random.Random) -> float:
    return rng.uniform(0.02, 0.95)
