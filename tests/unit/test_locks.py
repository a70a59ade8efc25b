"""The lock files in ``requirements/`` hold what ``pyproject.toml`` asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ("runtime.txt", "dev.txt", "lambda.txt", "broker.txt")


def locked(name: str) -> dict[str, str]:
    """Return version by package."""
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", text, re.MULTILINE))


def asked_for(lock: str) -> list[Requirement]:
    """Return what the lock must hold."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project = pyproject["project"]
    extras = project["optional-dependencies"]
    if lock == "lambda.txt":
        lines = [*project["dependencies"], *extras["lambda"]]
    elif lock == "broker.txt":
        lines = pyproject["dependency-groups"]["broker"]
    else:
        lines = [
            *pyproject["build-system"]["requires"],
            *project["dependencies"],
            *(line for extra in extras.values() for line in extra),
            *(pyproject["dependency-groups"]["dev"] if lock == "dev.txt" else []),
        ]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("name", LOCKS)
def test_every_dependency_is_locked_to_a_version_that_is_allowed(name: str) -> None:
    versions = locked(name)
    for requirement in asked_for(name):
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_hashes_and_none_has_a_source(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    packages = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in package for package in packages)
    assert not re.search(r"://|--index|--find-links|--extra|@ ", text)


def test_what_the_tests_run_on_is_what_the_system_runs_on() -> None:
    assert locked("runtime.txt").items() <= locked("dev.txt").items()
    assert locked("lambda.txt").items() <= locked("runtime.txt").items()
    assert locked("broker.txt").items() <= locked("runtime.txt").items()
