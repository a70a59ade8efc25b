"""Makes the broker of a data directory save what it has in memory, at once."""

import os
import signal
import time
from pathlib import Path

from plumbline.errors import BrokerUnavailable
from plumbline.local.servers.leftovers import running_processes

_DEADLINE_S = 10.0
_POLL_S = 0.01


def save(data_dir: Path) -> None:
    """Return when the broker has saved, or none runs.

    Raises:
        BrokerUnavailable: It has not, in ten seconds.
    """
    home = data_dir / "mosquitto"
    saved = home / "state" / "mosquitto.db"
    before = _version(saved)
    processes = running_processes("mosquitto", home)
    if not processes:
        return
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
