"""Collects the tests once, and forks a process for each mutant."""

import io
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import coverage
import pytest
from _pytest.runner import runtestprotocol

from plumbline.adapters.postgres.queries import load
from proofs.mutation.equivalent import EQUIVALENT
from proofs.mutation.mutants import Mutant, mutants_of
from proofs.mutation.plant import plant
from proofs.mutation.sql_mutants import SQL, SqlMutant
from proofs.mutation.targets import PARTS, ROOT, source_of

_KILLED, _SURVIVED, _TIMED_OUT = 1, 0, 3
_AT_LEAST_S = 3.0
_TIMES_SLOWER = 4.0


Contexts = Mapping[str, Mapping[int, Collection[str]]]
"""By file and line, the tests that execute it."""


@dataclass(frozen=True, slots=True)
class Change:
    """A mutant of any kind.

    Attributes:
        place: File and line, or statement.
        key: Names it in the list of the equivalent ones.
        do: Makes the change in the present process.
        covered_by: Whether a test, by what it covers, may notice.
    """

    place: str
    key: tuple[str, str, str]
    do: Callable[[], None]
    covered_by: Callable[[Contexts, str], bool]

    def __str__(self) -> str:
        _, old, new = self.key
        return f"{self.place}: {_one_line(old)}  ->  {_one_line(new)}"


@dataclass(slots=True)
class PartReport:
    """What became of one part's mutants; an equivalent one changes nothing that can be seen."""

    mutants: int = 0
    killed: int = 0
    timed_out: int = 0
    survived: list[Change] = field(default_factory=list)
    equivalent: list[Change] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def score(self) -> float:
        """Killed, of those that can be."""
        possible = self.mutants - len(self.equivalent)
        return (self.killed + self.timed_out) / possible if possible else 1.0


def changes_of(part: str) -> list[Change]:
    """Return all mutants of a part."""
    found = [
        _python_change(module, mutant)
        for module in PARTS[part].modules
        for mutant in mutants_of(source_of(module))
    ]
    return found + [_sql_change(one) for one in SQL.get(part, ())]


def mutate(
    part: str, say: Callable[[str], None], *, sample: int | None = None, seed: str = ""
) -> PartReport:
    """Try all mutants of a part, or a sample of so many.

    Raises:
        RuntimeError: The tests fail without any change.
    """
    changes = changes_of(part)
    if sample is not None and sample < len(changes):
        chosen = set(random.Random(f"{seed}.{part}").sample(range(len(changes)), sample))
        changes = [change for index, change in enumerate(changes) if index in chosen]
    plugin = _Runner(PARTS[part].modules, changes, say)
    tests = [str(ROOT / "tests" / name) for name in PARTS[part].tests]
    arguments = ["-q", "-p", "no:cacheprovider", "--capture=no", f"--rootdir={ROOT}", *tests]
    began = time.monotonic()
    with redirect_stdout(io.StringIO()) as said:
        status = pytest.main(arguments, plugins=[plugin])
    if status != pytest.ExitCode.OK or plugin.failed:
        msg = f"without any change: {plugin.failed or said.getvalue()}"
        raise RuntimeError(msg)
    plugin.report.seconds = time.monotonic() - began
    return plugin.report


class _Runner:
    """Takes the place of pytest's own loop."""

    def __init__(
        self, modules: Sequence[str], changes: Sequence[Change], say: Callable[[str], None]
    ) -> None:
        self._modules = modules
        self._files = [str(source_of(module)) for module in modules]
        self._changes = changes
        self._say = say
        self._took_s: dict[str, float] = {}
        self.report = PartReport()
        self.failed = ""

    def pytest_sessionstart(self) -> None:
        """Let Hypothesis try the same few examples on each mutant, and seek no smaller one."""
        from hypothesis import HealthCheck, Phase, settings  # noqa: PLC0415 - pytest loads it first

        settings.register_profile(
            "mutation",
            max_examples=25,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all tests once, then for each mutant those that may notice."""
        executed = self._run_all(session.items)
        if self.failed:
            return True
        # A control: what is put in without any change must not be noticed.
        unchanged = Change("", ("", "", ""), self._put_in_again, _all)
        if self._try(unchanged, session.items) != _SURVIVED:
            self.failed = "the same sources, put in again"
            return True
        for change in self._changes:
            self.report.mutants += 1
            tests = [item for item in session.items if change.covered_by(executed, item.nodeid)]
            tests.sort(key=lambda item: self._took_s[item.nodeid])
            if change.key in EQUIVALENT:
                self.report.equivalent.append(change)
                continue
            status = self._try(change, tests) if tests else _SURVIVED
            if status == _TIMED_OUT:
                self.report.timed_out += 1
            elif status == _SURVIVED:
                self.report.survived.append(change)
                self._say(f"survived {'' if tests else '(no test) '}{change}")
            else:
                self.report.killed += 1
        return True

    def _put_in_again(self) -> None:
        for module in self._modules:
            pristine = source_of(module).read_text("utf-8")
            plant(module, pristine, pristine)

    def _run_all(self, items: Sequence[pytest.Item]) -> Contexts:
        measured = coverage.Coverage(
            data_file=None, config_file=False, include=self._files, branch=False
        )
        measured.start()
        try:
            for item in items:
                measured.switch_context(item.nodeid)
                began = time.process_time()
                if not _passes(item):
                    self.failed = item.nodeid
                    break
                self._took_s[item.nodeid] = time.process_time() - began
        finally:
            measured.stop()
        data = measured.get_data()
        return {
            path: {line: set(tests) for line, tests in data.contexts_by_lineno(path).items()}
            for path in self._files
        }

    def _try(self, change: Change, tests: Sequence[pytest.Item]) -> int:
        pid = os.fork()
        if pid == 0:
            os._exit(_notice(change, tests, sum(self._took_s[t.nodeid] for t in tests)))
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            return _TIMED_OUT
        return os.WEXITSTATUS(status)


def _notice(change: Change, tests: Sequence[pytest.Item], usual_s: float) -> int:
    """Make the change and run the tests, in a process of its own, until one fails."""
    limit_s = _AT_LEAST_S + _TIMES_SLOWER * usual_s
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    signal.alarm(int(limit_s * 6))
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        change.do()
        for test in tests:
            if not _passes(test):
                return _KILLED
    except BaseException:  # noqa: BLE001 - a module that cannot even be loaded is noticed
        return _KILLED
    return _SURVIVED


class _OnlySession:
    """What comes after a test: nothing but the session's own fixtures stays set up."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session

    def listchain(self) -> list[object]:
        """See pytest's nodes."""
        return [self._session]


def _passes(item: pytest.Item) -> bool:
    nobody: Any = _OnlySession(item.session)
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=nobody))


def _python_change(module: str, mutant: Mutant) -> Change:
    path = str(mutant.path)
    lines = set(mutant.lines)

    def covered_by(executed: Contexts, test: str) -> bool:
        contexts = executed[path]
        of_lines = [contexts[line] for line in lines if line in contexts]
        # What is executed at the import only, whoever uses the module may notice.
        return any(test in names for names in of_lines or contexts.values())

    place = f"{mutant.path.relative_to(ROOT / 'src/plumbline')}:{mutant.line}"
    pristine = mutant.path.read_text("utf-8")
    return Change(place, mutant.key, lambda: plant(module, pristine, mutant.source), covered_by)


def _all(_: Contexts, test: str) -> bool:
    del test
    return True


def _sql_change(mutant: SqlMutant) -> Change:
    def do() -> None:
        statements = load(mutant.file)
        changed = statements[mutant.statement].replace(mutant.old, mutant.new, 1)
        statements[mutant.statement] = changed

    def covered_by(_: Contexts, test: str) -> bool:
        return "/integration/" in test

    if mutant.old not in load(mutant.file)[mutant.statement]:
        msg = f"{mutant.old!r} does not stand in {mutant.file}, {mutant.statement}"
        raise ValueError(msg)
    return Change(
        f"{mutant.file}, {mutant.statement}",
        (mutant.statement, mutant.old, mutant.new),
        do,
        covered_by,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:160]
