"""What a user installs is the wheel, not the source tree."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built wheel."""
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "-q",
            "--disable-pip-version-check",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(directory),
            str(ROOT),
        ],
        check=True,
    )
    [built] = directory.glob("plumbline-*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    source = ROOT / "src" / "plumbline"
    files = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {n.removeprefix("plumbline/") for n in archive.namelist() if ".dist-info/" not in n}
    assert names == files
    assert {"adapters/postgres/sql/queue.sql", "adapters/mqtt/config/acl", "py.typed"} <= names


def test_the_installed_wheel_runs_outside_the_source_tree(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "-q",
            "--disable-pip-version-check",
            "install",
            "--no-deps",
            "--no-index",
            "--target",
            str(target),
            str(wheel),
        ],
        check=True,
    )
    script = (
        "import plumbline, sys\n"
        "assert plumbline.__file__.startswith(sys.argv[1]), plumbline.__file__\n"
        "from plumbline.adapters.mqtt.configuration import access_rules\n"
        "from plumbline.adapters.postgres.queries import load\n"
        "from plumbline.codecs.sensors.registry import models\n"
        "assert access_rules() and load('queue.sql') and 'milesight-em310-tilt' in models()\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(target)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin"},
        check=True,
    )
