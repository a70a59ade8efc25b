"""Python environments beside the project's own, for tools that want other versions of libraries."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_CACHE_DIR = _ROOT / ".cache"


def ensure_environment(name: str) -> Path:
    """Return the Python of the environment that ``requirements/{name}.txt`` locks.

    It lies below ``.cache`` and is made at its first use, and anew where the lock has changed.
    """
    lock_file = _ROOT / "requirements" / f"{name}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256(lock_file.read_bytes() + version.encode()).hexdigest()[:12]
    directory = _CACHE_DIR / f"{name}-{key}"
    python = directory / "bin" / "python"
    complete = directory / "complete"
    _CACHE_DIR.mkdir(exist_ok=True)
    with (_CACHE_DIR / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(directory, ignore_errors=True)
            requirements = ["--require-hashes", "-r", str(lock_file)]
            if uv := shutil.which("uv"):
                _run(name, uv, "venv", "--quiet", "--python", sys.executable, str(directory))
                _run(name, uv, "pip", "install", "--quiet", "--python", str(python), *requirements)
            else:
                _run(name, sys.executable, "-m", "venv", str(directory))
                _run(name, str(python), "-m", "pip", "install", "--quiet", *requirements)
            complete.touch()
    return python


def _run(name: str, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"{name} cannot be installed: {' '.join(command)}\n{done.stderr}"
        raise RuntimeError(msg)
