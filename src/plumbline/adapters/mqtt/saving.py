"""Makes a Mosquitto save what it has in memory, at once."""

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from plumbline.errors import BrokerUnavailable

_DEADLINE_S = 10.0
_POLL_S = 0.01


def save(processes: Iterable[int], state_dir: Path) -> None:
    """Return when it has saved.

    Args:
        processes: Ids of its processes.
        state_dir: Where it saves.

    Raises:
        BrokerUnavailable: It has not, in ten seconds.
    """
    saved = state_dir / "mosquitto.db"
    before = _version(saved)
    for process in processes:
        os.kill(process, signal.SIGUSR1)
    deadline = time.monotonic() + _DEADLINE_S
    while _version(saved) == before:
        if time.monotonic() > deadline:
            msg = "the broker does not save its sessions"
            raise BrokerUnavailable(msg)
        time.sleep(_POLL_S)


def _version(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns
