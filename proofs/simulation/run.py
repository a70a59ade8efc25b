"""Many lives, several at once, until the hours are over or something went wrong."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from proofs.planted import planted
from proofs.simulation.verdict import judge
from proofs.simulation.world import Life, World

HOURS_A_LIFE = 24.0


@dataclass(frozen=True, slots=True)
class LifeReport:
    """What one life came to.

    Attributes:
        digest: SHA-256 of its trace.
        wrong: What went wrong in it, a line each.
    """

    life: Life
    acknowledged: int
    received: int
    stored: int
    duplicates: int
    conflicts: int
    quarantined: int
    commands: int
    faults: Counter[str]
    digest: str
    wrong: list[str]


@dataclass(slots=True)
class Report:
    """What many lives came to; messages acknowledged, deliveries by what became of them."""

    lives: int = 0
    hours: float = 0.0
    seconds: float = 0.0
    acknowledged: int = 0
    received: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    quarantined: int = 0
    commands: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failed: LifeReport | None = None

    def add(self, one: LifeReport) -> None:
        """Count a life."""
        self.lives += 1
        self.hours += one.life.hours
        for name in (
            "acknowledged",
            "received",
            "stored",
            "duplicates",
            "conflicts",
            "quarantined",
            "commands",
        ):
            setattr(self, name, getattr(self, name) + getattr(one, name))
        self.faults += one.faults


def simulate(
    seed: str, hours: float, *, bug: str | None = None, processes: int | None = None
) -> Report:
    """Live through so many hours; the first life that goes wrong is the last.

    Args:
        seed: Of everything.
        bug: One of ``proofs.planted.BUGS`` to live with.
        processes: How many lives at once; one a processor by default.
    """
    report = Report()
    began = time.monotonic()
    lives = [Life(f"{seed}.{n}", HOURS_A_LIFE) for n in range(max(1, round(hours / HOURS_A_LIFE)))]
    for one in _live_all(lives, bug, processes or os.cpu_count() or 1):
        report.add(one)
        if one.wrong:
            report.failed = one
            break
    report.seconds = time.monotonic() - began
    return report


def live(life: Life, bug: str | None = None, trace: Path | None = None) -> LifeReport:
    """Live one life, with its trace in a file where one is named."""
    with planted(bug):
        if trace is None:
            world = World(life)
            world.run()
        else:
            with trace.open("w", encoding="utf-8") as file:
                world = World(life, file)
                world.run()
    total = world.account().total
    return LifeReport(
        life,
        acknowledged=len(world.witness.acknowledged),
        received=total.received,
        stored=total.stored,
        duplicates=total.duplicates,
        conflicts=total.conflicts,
        quarantined=total.quarantined,
        commands=len(world.commanding.rows.rows),
        faults=world.faults.struck,
        digest=world.digest,
        wrong=judge(world),
    )


def _live_all(lives: Iterable[Life], bug: str | None, processes: int) -> Iterator[LifeReport]:
    if processes == 1:
        yield from (live(life, bug) for life in lives)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        try:
            yield from pool.map(live, lives, [bug] * len(list(lives)))
        finally:
            pool.shutdown(cancel_futures=True)
