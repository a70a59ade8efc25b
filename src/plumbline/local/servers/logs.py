"""Log files of child processes, bounded at each start."""

from pathlib import Path
from typing import BinaryIO

_KEEP_BYTES = 16 * 1024 * 1024
_TAIL_BYTES = 2000
_TAIL_LINES = 5


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending; one of 16 MiB or more first becomes ``<name>.1``."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size >= _KEEP_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    file = path.open("ab")
    path.chmod(0o600)
    return file


def tail(path: Path) -> str:
    """Return where the log is and its last five lines, each on a line of its own, indented."""
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, 2) - _TAIL_BYTES, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()[-_TAIL_LINES:]
    except FileNotFoundError:
        return ""
    return f"; {path} ends:" + "".join(f"\n  {line}" for line in lines)
