"""Each validation of a variable refuses what it should.

The cases lie in `terraform/tests/refused`, one file a module, and run on the module's variables
alone, which need no provider.
"""

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from infra.terraform_command import SOURCE, Terraform

pytestmark = pytest.mark.terraform

_CASES = SOURCE / "tests" / "refused"
_MODULES = ["root", *sorted(path.name for path in (SOURCE / "modules").iterdir())]
_END = ".tftest.hcl"
_VARIABLE = re.compile(r'^variable "(\w+)"')
_EXPECTED = re.compile(r"^  expect_failures = \[var\.(\w+)\]$", re.MULTILINE)


def variable_files(module: str) -> list[Path]:
    """Return the files that hold a module's variables."""
    directory = SOURCE if module == "root" else SOURCE / "modules" / module
    return sorted(directory.glob("variables*.tf"))


def validations(module: str) -> Counter[str]:
    """Return how many validations each variable has."""
    found: Counter[str] = Counter()
    for file in variable_files(module):
        variable = ""
        for line in file.read_text("utf-8").splitlines():
            if begins := _VARIABLE.match(line):
                variable = begins[1]
            elif line.strip() == "validation {":
                found[variable] += 1
    return found


@pytest.mark.parametrize("module", _MODULES)
def test_every_validation_has_a_case(module: str) -> None:
    cases = _CASES / f"{module}{_END}"
    text = cases.read_text("utf-8") if cases.exists() else ""
    refused = Counter(_EXPECTED.findall(text))
    assert refused.keys() == validations(module).keys()
    assert refused >= validations(module)


@pytest.mark.parametrize("module", [name for name in _MODULES if validations(name)])
def test_every_case_is_refused_by_its_variable(module: str, tmp_path: Path) -> None:
    program = shutil.which("terraform")
    if program is None:
        pytest.skip("Terraform is not installed")
    for file in variable_files(module):
        shutil.copy(file, tmp_path)
    tests = tmp_path / "tests"
    shutil.copytree(SOURCE / "tests" / "packages", tests / "packages")
    shutil.copy(_CASES / f"{module}{_END}", tests)
    done = Terraform(program, tmp_path).run("test", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
