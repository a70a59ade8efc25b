"""`./prove mutation`, as much of it as a run of all tests has time for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("part", ["parser", "router"])
def test_of_a_sample_of_mutants_nearly_all_are_noticed(part: str) -> None:
    options = ("--part", part, "--sample", "25", "--seed", "ci")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "proofs", "mutation", *options],
        check=False,
        capture_output=True,
        text=True,
        cwd=_ROOT,
        env={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}"},
    )
    found = re.search(r"^whole .* ([0-9.]+)%$", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) >= 80, done.stdout
