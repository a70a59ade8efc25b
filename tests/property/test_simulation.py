"""The simulation notices known mistakes, and lives the same life again."""

import subprocess
import sys
from pathlib import Path

import pytest
from proofs.planted import BUGS
from proofs.simulation.run import HOURS_A_LIFE, live, simulate
from proofs.simulation.world import Life

_ROOT = Path(__file__).parents[2]
_SIMULATION = (sys.executable, "-P", "-m", "proofs", "simulation")


def test_1_200_hours_of_faults_lose_double_and_reorder_nothing() -> None:
    report = simulate("steady", 1200, processes=1)
    assert report.failed is None, report.failed
    assert report.hours == 1200
    assert report.stored > 30_000
    assert report.commands > 3_000
    # Every kind of fault took part: a proof without them would show nothing.
    parts = (
        "killed",
        "refuses an entry",
        "is away",
        "stands still",
        "no answer",
        "breaks",
        "relay",
    )
    for part in parts:
        assert sum(n for what, n in report.faults.items() if part in what) > 50, part


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_noticed(bug: str) -> None:
    assert simulate("planted", 480, bug=bug, processes=1).failed is not None


def test_without_faults_nothing_is_dead_lettered_or_repeated() -> None:
    report = live(Life("calm", severity=None))
    assert (report.wrong, report.faults.total()) == ([], 0)


def test_the_same_seed_lives_the_same_life_to_the_byte(tmp_path: Path) -> None:
    """Also where sets and dictionaries hash otherwise."""
    traces = []
    for hash_seed in ("1", "2"):
        trace = tmp_path / hash_seed
        subprocess.run(
            [*_SIMULATION, "--life", "x.1", "--trace", str(trace)],
            check=True,
            cwd=_ROOT,
            env={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}", "PYTHONHASHSEED": hash_seed},
        )
        traces.append(trace.read_bytes())
    assert traces[0] == traces[1]
    assert len(traces[0].splitlines()) > 1000
    assert live(Life("x.2", HOURS_A_LIFE)).digest != live(Life("x.1", HOURS_A_LIFE)).digest
