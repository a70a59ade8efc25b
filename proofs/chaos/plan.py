"""Which fault strikes what, and when: drawn from the seed before anything runs."""

import random
from dataclasses import dataclass
from enum import StrEnum

PROCESSES = ("ingestion", "pipeline", "portal", "postgres", "redis", "mosquitto")
LINKS = ("devices", "mosquitto", "postgres", "redis")
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


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        at: Moment, as a fraction of the time of publishing.
        part: Of PROCESSES or LINKS, or EVERYTHING.
        for_s: How long it lasts; 0 for what happens at once.
    """

    at: float
    kind: Kind
    part: str
    for_s: float

    def __str__(self) -> str:
        lasts = f" for {self.for_s:.1f} s" if self.for_s else ""
        return f"{self.at:7.2%}  {self.kind}: {self.part}{lasts}"


def plan_faults(seed: str, kills: int, *, processes: tuple[str, ...] = PROCESSES) -> list[Fault]:
    """Return the faults in their order; the same seed, the same faults.

    Every part is killed at least once where there are enough kills, and everything at once where no
    part is spared. Half as many faults as kills come on top: stalls, and links that are cut, slow,
    lossy, silent or forgotten.
    """
    rng = random.Random(f"{seed}/chaos")
    parts = list(processes)
    if processes == PROCESSES:
        parts.append(EVERYTHING)
    # Everything at once costs a new start, so it is rare.
    weights = [0.2 if part == EVERYTHING else 1 for part in parts]
    faults = [
        Fault(
            _moment(rng),
            Kind.KILL,
            parts[n] if n < len(parts) else rng.choices(parts, weights)[0],
            0,
        )
        for n in range(kills)
    ]
    for number in range(kills // 4):
        stall = Fault(_moment(rng), Kind.STALL, rng.choice(processes), rng.uniform(0.5, 4))
        kind = _OF_LINKS[number % len(_OF_LINKS)]
        for_s = 0.0 if kind in _AT_ONCE else rng.uniform(0.5, 4)
        faults += [stall, Fault(_moment(rng), kind, rng.choice(LINKS), for_s)]
    return sorted(faults, key=lambda fault: fault.at)


_OF_LINKS = (Kind.RESET, Kind.SLOW, Kind.FORSAKEN, Kind.LOSSY, Kind.SILENT)
_AT_ONCE = {Kind.RESET, Kind.FORSAKEN}


def _moment(rng: random.Random) -> float:
    return rng.uniform(0.02, 0.95)
