"""One child process: started, asked whether it is ready, stopped."""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from plumbline.errors import TransientError
from plumbline.local.servers import privileges
from plumbline.local.servers.logs import open_log, tail

_READY_POLL_S = 0.05
_KILL_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to execute.

    Attributes:
        argv: Program and arguments.
        environment: All of the environment; None inherits ours.
        directory: Working directory.
        identity: User to run as; None is ours.
        descriptors: What it inherits beside its standard streams; ours are closed.
    """

    argv: Sequence[str]
    environment: Mapping[str, str] | None = None
    directory: Path = Path("/")
    identity: privileges.Identity | None = None
    descriptors: Sequence[int] = ()


class ManagedProcess(ABC):
    """A child process in its own session, which dies when we do, however we do.

    Start it in a thread that lives as long as it should: the kernel ties it to the thread.

    Args:
        name: Unique among the processes of a system; also names it in logs.
        log_path: Gets its output; None leaves it our own standard error.
        requires: Names of what must have been ready once before the first start.
        once: It runs to its end and is ready then, if its status is 0.
        stop_signal: Asks it to end in good order.
        stop_timeout_s: How long that may take before SIGKILL.
        death_signal: What it gets when we die.
    """

    def __init__(  # noqa: PLR0913 - each is one property of a process, given by keyword
        self,
        name: str,
        *,
        log_path: Path | None = None,
        requires: Sequence[str] = (),
        once: bool = False,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_timeout_s: float = 8.0,
        death_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.requires = tuple(requires)
        self.once = once
        self.stop_signal = stop_signal
        self.stop_timeout_s = stop_timeout_s
        self._death_signal = death_signal
        self._child: subprocess.Popen[bytes] | None = None
        self._group: int | None = None

    @abstractmethod
    def prepare(self) -> Launch:
        """Make files and directories ready and say what to execute; called before each start."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return at once whether it serves."""

    def start(self) -> int:
        """Start it and return its process id; it may take a while to be ready.

        Raises:
            ConfigurationError: It cannot be started with these settings on this machine.
        """
        launch = self.prepare()
        log = None if self.log_path is None else open_log(self.log_path)
        try:
            self._child = subprocess.Popen(
                privileges.command(list(launch.argv), launch.identity, self._death_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=None if log is None else subprocess.STDOUT,
                env=None if launch.environment is None else dict(launch.environment),
                cwd=launch.directory,
                pass_fds=tuple(launch.descriptors),
                start_new_session=True,  # Ctrl-C is for us alone; we stop them in order
            )
        finally:
            if log is not None:
                log.close()
            for descriptor in launch.descriptors:
                os.close(descriptor)  # the process has its own
        self._group = self._child.pid
        return self._child.pid

    @property
    def pid(self) -> int | None:
        """Process id, or None where it was never started."""
        return None if self._child is None else self._child.pid

    @property
    def exit_status(self) -> int | None:
        """Exit status, negative for a signal; None while it runs or before it was started."""
        return None if self._child is None else self._child.poll()

    def alive(self) -> bool:
        """Return whether the process runs."""
        return self._child is not None and self._child.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; a process that has ended gets none."""
        if self._child is not None:
            self._child.send_signal(number)

    def wait_ready(self, deadline_s: float) -> None:
        """Wait until it serves.

        Args:
            deadline_s: Seconds from now.
        Raises:
            TransientError: It ended, or is not ready in time; the message has its last log lines.
        """
        deadline = time.monotonic() + deadline_s
        while True:
            if not self.alive():
                raise TransientError(self.explain(f"ended with status {self.exit_status}"))
            if self.is_ready():
                return
            if time.monotonic() > deadline:
                raise TransientError(self.explain(f"was not ready in {deadline_s:g} s"))
            time.sleep(_READY_POLL_S)

    def explain(self, what: str) -> str:
        """Return what happened to it, with the last lines of its log."""
        lines = "" if self.log_path is None else tail(self.log_path)
        return f"{self.name} {what}{lines}"

    def wait(self, timeout_s: float) -> bool:
        """Wait until it has ended; return whether it has."""
        if self._child is not None:
            try:
                self._child.wait(max(timeout_s, 0))
            except subprocess.TimeoutExpired:
                return False
        return True

    def kill(self) -> None:
        """End it at once, and all that is left of it."""
        self.send_signal(signal.SIGKILL)
        self.wait(_KILL_WAIT_S)
        self.end_remains()

    def end_remains(self) -> None:
        """End what it started and did not end itself; call this as soon as it has ended."""
        group, self._group = self._group, None  # once: the number may be another's later
        if group is not None:
            with suppress(ProcessLookupError, PermissionError):  # nothing of ours is left
                os.killpg(group, signal.SIGKILL)

    def stop(self, timeout_s: float | None = None) -> None:
        """Stop it in good order, or by SIGKILL where that takes longer than the timeout.

        Args:
            timeout_s: Instead of its own ``stop_timeout_s``.
        """
        self.send_signal(self.stop_signal)
        if self.wait(self.stop_timeout_s if timeout_s is None else timeout_s):
            self.end_remains()
        else:
            self.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """A worker process of our own.

    Attributes:
        name: Unique among the processes of a system.
        argv: Program and arguments.
        env: All of its environment; None inherits ours.
        ready: Returns at once whether it serves; by default it does when it runs.
        requires: Names of what must have been ready once before the first start.
        once: It runs to its end and is ready then, if its status is 0.
        log_path: Gets its output; None leaves it our own standard error.
        stop_signal: Asks it to end in good order.
        stop_timeout_s: How long that may take before SIGKILL.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    ready: Callable[[], bool] = field(default=lambda: True)
    requires: Sequence[str] = ()
    once: bool = False
    log_path: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 8.0


class WorkerProcess(ManagedProcess):
    """A process from its specification; it runs as we do, in our working directory."""

    def __init__(self, spec: ProcessSpec) -> None:
        super().__init__(
            spec.name,
            log_path=spec.log_path,
            requires=spec.requires,
            once=spec.once,
            stop_signal=spec.stop_signal,
            stop_timeout_s=spec.stop_timeout_s,
        )
        self._spec = spec

    def prepare(self) -> Launch:
        """Return what the specification says."""
        return Launch(argv=self._spec.argv, environment=self._spec.env, directory=Path.cwd())

    def is_ready(self) -> bool:
        """Return what the specification's check says."""
        return self._spec.ready()
