"""Throws cases at the targets, in processes of their own that may hang or eat memory."""

import resource
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import SynchronizedArray
from pathlib import Path
from random import Random

from proofs.fuzz.oracle import ACCEPTED
from proofs.fuzz.target import Case, Target
from proofs.fuzz.targets import targets

HUNG_AFTER_S = 5.0
"""Of processor time for one case: then it hangs, and its process is killed."""
SLOW_AFTER_MS = 250.0
"""Of processor time for one case: that is a failure."""
MEMORY_MB = 1024
"""What a process may take beyond what it begins with."""

_CASES_A_ROUND = 100


@dataclass(frozen=True, slots=True)
class Failure:
    """A case for which something does not hold; again with the target's name and the number."""

    target: str
    number: int
    what: str


@dataclass(slots=True)
class TargetReport:
    """What came of one target's cases.

    Attributes:
        words: Items by what became of them: ACCEPTED, or why not.
        slowest_ms: Processor time of the slowest case.
        seconds: Processor time of all.
    """

    cases: int = 0
    words: Counter[str] = field(default_factory=Counter)
    slowest_ms: float = 0.0
    slowest: int = 0
    seconds: float = 0.0
    failure: Failure | None = None

    def add(self, other: "TargetReport") -> None:
        """Take in what another process has found."""
        self.cases += other.cases
        self.words += other.words
        if other.slowest_ms > self.slowest_ms:
            self.slowest_ms, self.slowest = other.slowest_ms, other.slowest
        self.seconds += other.seconds
        self.failure = self.failure or other.failure


@dataclass(slots=True)
class FuzzReport:
    """What came of all.

    Attributes:
        grown_mb: By how much the process grew that grew most, after its first round.
    """

    targets: dict[str, TargetReport] = field(default_factory=dict)
    grown_mb: float = 0.0
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        """How many were thrown."""
        return sum(report.cases for report in self.targets.values())

    def failures(self) -> Iterator[str]:
        """Yield what is wrong, a line each; a target that was never reached is wrong, too."""
        for name, report in self.targets.items():
            if report.failure is not None:
                yield f"{name}, case {report.failure.number}: {report.failure.what}"
            elif not report.words[ACCEPTED]:
                yield f"{name}: nothing was ever accepted: the cases reach nothing"
            elif report.words.total() == report.words[ACCEPTED]:
                yield f"{name}: nothing was ever refused: the cases try nothing"


def make_case(seed: str, target: Target, number: int) -> Case:
    """Make one case again."""
    return target.make(Random(f"{seed}.{target.name}.{number}"))


def fuzz(
    seed: str,
    *,
    cases: int | None = None,
    seconds: float | None = None,
    processes: int = 1,
    names: Sequence[str] = (),
) -> FuzzReport:
    """Throw so many cases, or for so long.

    Args:
        names: Of the targets; none for all.
    """
    began = time.monotonic()
    chosen = list(names) or list(targets())
    report = FuzzReport({name: TargetReport() for name in chosen})
    quotas = _quotas(chosen, cases)
    context = get_context("spawn")
    workers = {}
    for number in range(processes):
        here, there = context.Pipe(duplex=False)
        current = context.Array("q", 2)
        work = (seed, quotas, (number, processes), seconds, there, current)
        process = context.Process(target=_work, args=work, daemon=True)
        process.start()
        there.close()
        workers[here] = process, current
    while workers:
        for ready in wait(list(workers)):
            assert isinstance(ready, Connection)  # noqa: S101 - what was put in
            process, current = workers.pop(ready)
            try:
                found, grown_mb = ready.recv()
            except EOFError:
                process.join()
                found, grown_mb = {}, 0.0
                target, number = current[:]
                what = f"its process ended with status {process.exitcode}: it hangs or eats memory"
                report.targets[chosen[target]].failure = Failure(chosen[target], number, what)
            for name, one in found.items():
                report.targets[name].add(one)
            report.grown_mb = max(report.grown_mb, grown_mb)
            process.join()
    report.seconds = time.monotonic() - began
    return report


def _quotas(names: Sequence[str], cases: int | None) -> dict[str, int | None]:
    weights = {name: targets()[name].weight for name in names}
    whole = sum(weights.values())
    return {
        name: None if cases is None else max(1, round(cases * weight / whole))
        for name, weight in weights.items()
    }


def _work(  # noqa: PLR0913, PLR0917 - what a process is told
    seed: str,
    quotas: dict[str, int | None],
    share: tuple[int, int],
    seconds: float | None,
    result: Connection,
    current: "SynchronizedArray[int]",
) -> None:
    """Work on every n-th case of each target; say at the end what came of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    deadline = None if seconds is None else time.monotonic() + seconds
    reports = {name: TargetReport() for name in quotas}
    first, step = share
    open_ = dict(enumerate(quotas))
    after_first_mb = 0.0
    _limit_memory()
    while open_ and (deadline is None or time.monotonic() < deadline):
        for index, name in list(open_.items()):
            target, report, quota = targets()[name], reports[name], quotas[name]
            for _ in range(_CASES_A_ROUND * target.weight):
                number = first + report.cases * step
                if report.failure is not None or (quota is not None and number >= quota):
                    del open_[index]
                    break
                current[:] = [index, number]
                try_case(seed, target, number, report)
        after_first_mb = after_first_mb or _resident_mb()
    result.send((reports, _resident_mb() - after_first_mb))
    result.close()


def try_case(seed: str, target: Target, number: int, report: TargetReport) -> None:
    """Throw one case, and enter in the report what came of it."""
    signal.setitimer(signal.ITIMER_PROF, HUNG_AFTER_S)
    began = time.process_time()
    try:
        case = make_case(seed, target, number)
        made = time.process_time()
        report.words.update(target.judge(case))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        what = f"{type(error).__name__}: {error!s:.1000} ({place})"
        report.failure = Failure(target.name, number, what)
        return
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    ended = time.process_time()
    report.cases += 1
    report.seconds += ended - began
    took_ms = (ended - made) * 1000
    if took_ms > report.slowest_ms:
        report.slowest_ms, report.slowest = took_ms, number
        if took_ms > SLOW_AFTER_MS:
            report.failure = Failure(target.name, number, f"took {took_ms:.0f} ms")


def _limit_memory() -> None:
    limit = _memory_bytes(0) + MEMORY_MB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _resident_mb() -> float:
    return _memory_bytes(1) / 2**20


def _memory_bytes(column: int) -> int:
    """Return the address space (0) or what is resident (1)."""
    pages = Path("/proc/self/statm").read_text("ascii").split()[column]
    return int(pages) * resource.getpagesize()
