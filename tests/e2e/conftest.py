"""The whole system, started as a user starts it: `plumbline up` as a process."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from plumbline.local.endpoints import Endpoints, read_endpoints
from plumbline.local.servers.ports import free_port

PLUMBLINE = [sys.executable, "-m", "plumbline"]
_READY_S = 60.0
_STOP_S = 15.0


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait until the condition holds, or fail with ``what`` was waited for."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s:g} s in vain for: {what}")
        time.sleep(0.05)


@dataclass
class System:
    """A running `plumbline up`.

    Attributes:
        data_dir: Its data directory.
        options: With which it was started.
        program: What is started: the command line.
        environment: Over ours.
        ports: Free ones.
        ready_within_s: How long it may take to be ready.
    """

    data_dir: Path
    options: list[str]
    # Not the preferred ones: two systems that start together would both find them free.
    ports: list[str] = field(
        default_factory=lambda: [
            argument
            for option in ("--mqtt-port", "--mqtts-port", "--portal-port")
            for argument in (option, str(free_port()))
        ]
    )
    program: list[str] = field(default_factory=lambda: PLUMBLINE)
    environment: dict[str, str] = field(default_factory=dict)
    ready_within_s: float = _READY_S
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        argv = [*self.program, "--data-dir", str(self.data_dir), "up", *self.ports, *self.options]
        with (self.data_dir.parent / "up.log").open("ab") as log:
            environment = os.environ | self.environment
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment)
        wait_until(self._is_ready, self.ready_within_s, "the system to be ready")

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            log = (self.data_dir.parent / "up.log").read_text()
            pytest.fail(f"plumbline up ended: {log[-2000:]}")
        return (self.data_dir / "endpoints.json").exists()

    @property
    def endpoints(self) -> Endpoints:
        """What it wrote when it was ready."""
        found = read_endpoints(self.data_dir)
        assert found is not None
        return found

    def stop(self) -> float:
        """Stop it as Ctrl-C would and return the seconds that took."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_STOP_S + 5)
        return time.monotonic() - began

    def kill_all(self) -> None:
        """End it and every child at once, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            children = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            self._process.wait()
            psutil.wait_procs(children, timeout=_STOP_S)

    def child(self, name: str) -> psutil.Process:
        """Return the child whose command line holds ``name``.

        PostgreSQL's is its postmaster.
        """
        assert self._process is not None
        found: list[psutil.Process] = []

        def search() -> bool:
            assert self._process is not None
            for process in psutil.Process(self._process.pid).children():
                try:
                    if name in " ".join(process.cmdline()):
                        found.append(process)
                        return True
                except psutil.NoSuchProcess:
                    continue
            return False

        wait_until(search, _READY_S, f"a process {name}")
        return found[0]

    def run(
        self,
        *arguments: str,
        timeout_s: float = 120,
        environment: dict[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a sub-command and return it, whatever its exit status."""
        argv = [*PLUMBLINE, "--data-dir", str(self.data_dir), *arguments]
        return subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=_environment() | (environment or {}),
        )

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
        """Run a sub-command with ``--json`` and return its data; it must exit with 0."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)

    def simulate(self, truth: Path, *options: str) -> "subprocess.Popen[bytes]":
        """Start a simulation in the background."""
        argv = [*PLUMBLINE, "--data-dir", str(self.data_dir), "simulate", "--truth", str(truth)]
        return subprocess.Popen([*argv, *options], stderr=subprocess.DEVNULL, env=_environment())

    def rows(self) -> int:
        """Return the number of stored readings; 0 while the database is away."""
        return self.count("SELECT count(*) FROM sensor_data")

    def count(self, query: str) -> int:
        """Return the one number of a query; 0 while the database is away."""
        try:
            with psycopg.connect(self.endpoints.database_url, connect_timeout=2) as connection:
                row = connection.execute(query.encode()).fetchone()
        except psycopg.OperationalError:
            return 0
        assert row is not None
        return int(row[0])

    def settle(self, timeout_s: float = 120) -> dict[str, Any]:
        """Wait until nothing is in flight or waits at the broker, and return the ledger.

        The ledger must balance at every look, not just at the last.
        """
        quiet_since: float | None = None
        account: dict[str, Any] = {}
        deadline = time.monotonic() + timeout_s
        while True:
            done = self.run("ledger", "--json")
            if done.returncode == 0:
                before, account = account, json.loads(done.stdout)
                unchanged = account == before and account["in_flight"] == 0
                quiet_since = (quiet_since or time.monotonic()) if unchanged else None
                if quiet_since is not None and time.monotonic() - quiet_since > 2:
                    return account
            elif '"balanced": false' in done.stdout:
                pytest.fail(f"the ledger does not balance: {done.stdout}")
            if time.monotonic() > deadline:
                pytest.fail(f"not settled in {timeout_s:g} s: {done.stdout}{done.stderr}")

    def verify(self, truth: Path) -> None:
        """Compare the truth with the database; fail with the list of differences."""
        done = self.run("verify", "--truth", str(truth))
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Yield a data directory that the servers' users can enter, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="plumbline-e2e-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory / "data"


@pytest.fixture
def system(data_dir: Path, request: pytest.FixtureRequest) -> Iterator[System]:
    """Yield a running system on free ports; ``@pytest.mark.parametrize`` its options indirectly."""
    options: list[str] = getattr(request, "param", [])
    running = System(data_dir, options)
    try:
        running.start()
        yield running
    finally:
        running.kill_all()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")}
