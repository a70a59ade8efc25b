"""Builds Mosquitto's plugin for the uplink journal, once for each version of either."""

import hashlib
import subprocess
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from plumbline.errors import ConfigurationError
from plumbline.local.servers.binaries import find_program

_PACKAGES = "gcc libc6-dev mosquitto-dev libmosquitto-dev"
_TIMEOUT_S = 60


def build_journal_plugin(directory: Path) -> Path:
    """Return the plugin below ``directory``; build it where it is not there yet.

    Raises:
        ConfigurationError: There is no compiler, or Mosquitto's headers are missing.
    """
    program = find_program("mosquitto", "mosquitto")
    with as_file(files("plumbline.adapters.mqtt") / "journal") as source:
        plugin = directory / f"uplink-journal-{_fingerprint(program, source)}.so"
        if not plugin.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=directory) as scratch:
                built = Path(scratch) / plugin.name
                _build(source, built)
                built.replace(plugin)
    return plugin


def _build(source: Path, target: Path) -> None:
    result = subprocess.run(
        ["sh", source / "build-plugin", target],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=_TIMEOUT_S,
    )
    if result.returncode != 0:
        lines = result.stderr.splitlines()
        reason = next((line for line in lines if "error" in line), lines[-1] if lines else "")
        msg = f"the broker's plugin cannot be built ({reason.strip()}); install {_PACKAGES}"
        raise ConfigurationError(msg)


def _fingerprint(program: Path, source: Path) -> str:
    # Mosquitto prints its version with its help, and exits with a status of its own.
    described = subprocess.run(
        [program, "-h"],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=_TIMEOUT_S,
    )
    parts = [path.read_bytes() for path in sorted(source.iterdir())]
    return hashlib.sha256(b"\0".join([*parts, described.stdout])).hexdigest()[:16]
