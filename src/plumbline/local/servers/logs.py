"""Log files of child processes, bounded."""

import os
import shutil
from pathlib import Path
from typing import BinaryIO

_KEEP_BYTES = 16 * 1024 * 1024
_TAIL_BYTES = 2000
_TAIL_LINES = 5


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending; see `bound_log`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    bound_log(path)
    file = path.open("ab")
    path.chmod(0o600)
    return file


def bound_log(path: Path) -> None:
    """Copy a log of 16 MiB or more to ``<name>.1`` and empty it.

    Its writers append, so that they go on at the beginning; a line written between the two steps
    is lost.
    """
    if path.exists() and path.stat().st_size >= _KEEP_BYTES:
        shutil.copy2(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)


def tail(path: Path) -> str:
    """Return where the log is and its last five lines, each on a line of its own, indented."""
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, 2) - _TAIL_BYTES, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()[-_TAIL_LINES:]
    except FileNotFoundError:
        return ""
    return f"; {path} ends:" + "".join(f"\n  {line}" for line in lines)
