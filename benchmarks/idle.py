"""What the whole system costs while nothing happens."""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_READY_S = 60.0
_SETTLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Idle:
    """Of `plumbline up` without devices, all processes together.

    Attributes:
        cpu_percent: Of one core.
        own_mb: Resident memory of our own (Python) processes, MiB; shared pages count for each.
        servers_mb: Of PostgreSQL, Redis and Mosquitto.
        start_s: From the command until everything is ready, with the database made anew.
    """

    cpu_percent: float
    own_mb: float
    servers_mb: float
    start_s: float


def measure(seconds: float) -> Idle:
    """Start the system in a temporary directory and watch it for so long."""
    with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as name:
        base = Path(name)
        base.chmod(0o755)
        began = time.perf_counter()
        up = subprocess.Popen(
            [sys.executable, "-m", "plumbline", "--data-dir", str(base / "data"), "up"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not (base / "data" / "endpoints.json").exists():
                if time.perf_counter() - began > _READY_S or up.poll() is not None:
                    msg = "plumbline up does not come up"
                    raise RuntimeError(msg)
                time.sleep(0.02)
            start_s = time.perf_counter() - began
            time.sleep(_SETTLE_S)
            return _watch(psutil.Process(up.pid), seconds, start_s)
        finally:
            up.terminate()
            up.wait()


def _watch(up: psutil.Process, seconds: float, start_s: float) -> Idle:
    before = _cpu_seconds(up)
    time.sleep(seconds)
    used = _cpu_seconds(up) - before
    own = servers = 0
    for process in [up, *up.children(recursive=True)]:
        memory = process.memory_info().rss
        if "python" in process.name():
            own += memory
        else:
            servers += memory
    return Idle(100 * used / seconds, own / 2**20, servers / 2**20, start_s)


def _cpu_seconds(up: psutil.Process) -> float:
    """Return what all processes have used, with those of PostgreSQL's that came and went."""
    return sum(
        sum(process.cpu_times()[:4]) if process != up else sum(process.cpu_times()[:2])
        for process in [up, *up.children(recursive=True)]
    )
