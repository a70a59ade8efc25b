"""`plumbline up` as a user starts it, in a temporary directory, for measuring on it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from plumbline.local.endpoints import Endpoints, read_endpoints
from plumbline.local.running import read_environment
from plumbline.local.workers import WORKERS

_READY_S = 120.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class System:
    """A running system.

    Attributes:
        data_dir: Its data directory.
        endpoints: Its URLs.
        up: The process `plumbline up`.
        start_s: From the command until everything was ready, with the database made anew.
    """

    data_dir: Path
    endpoints: Endpoints
    up: psutil.Process
    start_s: float

    @property
    def ingest_url(self) -> str:
        """The broker as the ingest user."""
        return read_environment(self.data_dir)["BROKER_ENDPOINT"]

    def own_processes(self) -> list[psutil.Process]:
        """Return our own (Python) processes."""
        return [process for process, name in self._named() if "python" in name]

    def servers(self) -> list[psutil.Process]:
        """Return the processes of PostgreSQL, Redis and Mosquitto."""
        return [process for process, name in self._named() if "python" not in name]

    def signal_workers(self, number: signal.Signals) -> None:
        """Stop or continue the processes that run the functions."""
        for process in self.up.children():
            if any(" ".join(names) in " ".join(process.cmdline()) for names in WORKERS.values()):
                process.send_signal(number)

    def _named(self) -> Iterator[tuple[psutil.Process, str]]:
        for process in [self.up, *self.up.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # PostgreSQL's come and go
                yield process, process.name()


@contextmanager
def running_system(settings: Mapping[str, str] | None = None) -> Iterator[System]:
    """Start a system on free ports of loopback, everything durable, and stop it at the end.

    Args:
        settings: Further environment.
    """
    with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as name:
        base = Path(name)
        base.chmod(0o755)
        data_dir = base / "data"
        began = time.perf_counter()
        up = subprocess.Popen(
            [sys.executable, "-m", "plumbline", "--data-dir", str(data_dir), "up"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **(settings or {})},
        )
        try:
            while (endpoints := read_endpoints(data_dir)) is None:
                if time.perf_counter() - began > _READY_S or up.poll() is not None:
                    msg = "plumbline up does not come up"
                    raise RuntimeError(msg)
                time.sleep(_POLL_S)
            start_s = time.perf_counter() - began
            yield System(data_dir, endpoints, psutil.Process(up.pid), start_s)
        finally:
            up.terminate()
            up.wait()
