"""Finds the servers' programs and checks their versions."""

import re
import shutil
import subprocess
from pathlib import Path

from plumbline.errors import ConfigurationError

_VERSION_TIMEOUT_S = 10

# Debian installs servers where an ordinary user's PATH does not look.
_SYSTEM_DIRECTORIES = "/usr/local/sbin:/usr/sbin:/sbin"


def find_program(name: str, package: str) -> Path:
    """Return the program's path, from PATH or the system's directories.

    Args:
        name: File name of the program.
        package: What to install where it is missing, for the message.
    Raises:
        ConfigurationError: It is not installed.
    """
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM_DIRECTORIES)
    if found is None:
        msg = f"{name} is not installed; install {package}"
        raise ConfigurationError(msg)
    return Path(found)


def require_version(program: Path, argument: str, minimum: int) -> None:
    """Check the major version that ``program argument`` prints.

    Raises:
        ConfigurationError: It is older, or cannot be found out.
    """
    major = _major_version(program, argument)
    if major is None or major < minimum:
        found = "an unknown version" if major is None else f"version {major}"
        msg = f"{program} is {found}; Plumbline needs {minimum} or newer"
        raise ConfigurationError(msg)


def find_postgres(minimum: int, cluster_major: int | None = None) -> Path:
    """Return the directory of PostgreSQL's programs.

    Args:
        minimum: Oldest major version that serves.
        cluster_major: Major version that made the existing data directory; no other can read it.
    Raises:
        ConfigurationError: No such version is installed.
    """
    versions: dict[int, Path] = {}
    on_path = shutil.which("postgres")
    candidates = [*Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if on_path is not None:
        candidates.append(Path(on_path).resolve())
    for program in candidates:
        major = _major_version(program, "--version")
        if major is not None and major >= minimum and (program.parent / "initdb").exists():
            versions[major] = program.parent
    if not versions:
        msg = f"PostgreSQL {minimum} or newer is not installed; install postgresql"
        raise ConfigurationError(msg)
    if cluster_major is None:
        return versions[max(versions)]
    if cluster_major not in versions:
        msg = (
            f"the data directory was made by PostgreSQL {cluster_major}, which is not installed;"
            f" install postgresql-{cluster_major}, or choose another --data-dir"
        )
        raise ConfigurationError(msg)
    return versions[cluster_major]


def _major_version(program: Path, argument: str) -> int | None:
    # Mosquitto prints its version with its help, and exits with a status of its own.
    result = subprocess.run(
        [program, argument],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=_VERSION_TIMEOUT_S,
    )
    match = re.search(r"(?:v=|version |\) )(\d+)", result.stdout)
    return int(match[1]) if match else None
