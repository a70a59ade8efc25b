"""Wheels for another machine: what a lock file names, and Plumbline's own."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from plumbline.errors import PackagingFailed

_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
ARCHITECTURES = tuple(_MACHINES)
_OLDEST_GLIBC_MINOR = 17


@dataclass(frozen=True, slots=True)
class Target:
    """A machine with Linux and CPython.

    Attributes:
        python: Its version, ``3.12``.
        architecture: One of ARCHITECTURES.
        glibc_minor: Its C library is 2.this.
    """

    python: str
    architecture: str
    glibc_minor: int

    def platforms(self) -> list[str]:
        """Return the platform tags of wheels that run there, best first."""
        machine = _MACHINES[self.architecture]
        minors = range(self.glibc_minor, _OLDEST_GLIBC_MINOR - 1, -1)
        return [*(f"manylinux_2_{minor}_{machine}" for minor in minors), f"manylinux2014_{machine}"]

    def environment(self) -> dict[str, str]:
        """Return what the markers of requirements ask about."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.99",
            "os_name": "posix",
            "platform_machine": _MACHINES[self.architecture],
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.99",
            "python_version": self.python,
            "sys_platform": "linux",
        }


def download_locked(lock: Path, target: Target, directory: Path) -> None:
    """Put the wheels that the lock names for the target into the directory.

    Nothing is built: a package without a wheel for the target, or with other bytes than the lock
    says, fails.

    Raises:
        PackagingFailed: A wheel does not exist, differs, or cannot be fetched.
    """
    requirements = directory / "requirements.txt"
    requirements.write_text("\n".join(_requirements(lock, target)) + "\n", "utf-8")
    platforms = [f"--platform={platform}" for platform in target.platforms()]
    _pip(
        *("download", "--no-deps", "--require-hashes", "--only-binary=:all:"),
        *("--implementation=cp", f"--python-version={target.python}", *platforms),
        *("--requirement", str(requirements), "--dest", str(directory)),
    )
    requirements.unlink()


def build_own(checkout: Path, directory: Path) -> Path:
    """Build Plumbline's wheel from the checkout and return it.

    Raises:
        PackagingFailed: The build failed.
    """
    _pip(
        *("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory)),
        str(checkout),
    )
    [wheel] = directory.glob("plumbline-*.whl")
    return wheel


def _requirements(lock: Path, target: Target) -> Iterator[str]:
    """Yield one line for each package of the lock that the target needs, without its marker.

    pip would ask the markers about the machine that it runs on.
    """
    text = re.sub(r"\\\n\s*", "", lock.read_text("utf-8"))
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            stated, *hashes = line.split(" --hash=")
            requirement = Requirement(stated)
            if requirement.marker is None or requirement.marker.evaluate(target.environment()):
                requirement.marker = None
                yield " --hash=".join([str(requirement), *hashes])


def _pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
        msg = f"pip {arguments[0]}: {' '.join(errors)[-500:] or 'failed'}"
        raise PackagingFailed(msg)
