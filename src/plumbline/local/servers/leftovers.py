"""Finds and ends server processes that an earlier run left behind."""

import os
import signal
import time
from pathlib import Path

_POLL_S = 0.02


def running_processes(program: str, directory: Path) -> list[int]:
    """Return the ids of the processes of that program whose working directory is in ``directory``.

    This names a server's processes without a pid file, which could name a stranger after a
    restart of the machine; it also finds what a killed PostgreSQL left of its children.

    Args:
        program: Name of the process as the kernel shows it, at most 15 characters.
        directory: The server's own directory, or one above it.
    """
    home = str(directory.resolve())
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            if Path(entry.path, "comm").read_text("utf-8").rstrip("\n") != program:
                continue
            where = str(Path(entry.path, "cwd").readlink())
        except OSError:  # it has just ended, or belongs to somebody else
            continue
        if where == home or where.startswith(f"{home}/"):
            found.append(int(entry.name))
    return found


def end_leftovers(
    program: str, directory: Path, stop_signal: signal.Signals, patience_s: float
) -> list[int]:
    """End the processes of ``running_processes``; return those that there were.

    Args:
        program: See ``running_processes``.
        directory: See ``running_processes``.
        stop_signal: Asks them to end in good order.
        patience_s: How long to wait before SIGKILL.
    """
    leftovers = running_processes(program, directory)
    remaining = leftovers
    for signal_number, wait_s in ((stop_signal, patience_s), (signal.SIGKILL, patience_s)):
        for pid in remaining:
            try:
                os.kill(pid, signal_number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + wait_s
        while remaining and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            remaining = running_processes(program, directory)
        if not remaining:
            break
    return leftovers
