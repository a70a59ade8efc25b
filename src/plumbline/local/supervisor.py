"""Keeps the servers and workers of one machine running, and stops them in order.

One thread that sleeps until a child ends, a signal comes or a time is due; it imports little, as
it lives as long as the system.
"""

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum, auto
from pathlib import Path
from types import FrameType

from plumbline.errors import PlumblineError, TransientError
from plumbline.local.backoff import Backoff
from plumbline.local.endpoints import remove_endpoints
from plumbline.local.event_log import LogEvent, log_event
from plumbline.local.servers.logs import bound_log
from plumbline.local.servers.process import ManagedProcess

_FIRST_READY_POLL_S = 0.05
_SLOWEST_READY_POLL_S = 0.5
_ATTEMPTS_TO_START = 5
_LOGS_EVERY_S = 60.0
_STOP_TOTAL_S = 14.0
_STOP_RESERVE_S = 2.0


class _State(Enum):
    WAITING = auto()  # for what it requires, or for the end of a wait
    STARTING = auto()  # runs, but does not serve yet
    READY = auto()
    DONE = auto()  # of those that run once


class _Watched:
    def __init__(self, process: ManagedProcess) -> None:
        self.process = process
        self.state = _State.WAITING
        self.was_ready = False
        self.failures = 0
        self.started_at = self.ready_at = self.due_at = 0.0
        self.ready_poll_s = _FIRST_READY_POLL_S
        self.pidfd: int | None = None


class Supervisor:
    """Starts processes in the order of what they require, and restarts what ends.

    What is required must have been ready once; when it goes down later, the others go on.

    Args:
        data_dir: Held by ``locked_data_dir``; its ``endpoints.json`` is removed at a clean stop.
        processes: In any order.
        on_ready: Called once, when all are ready; writes ``endpoints.json``.
        backoff: Between restarts.
        log: Takes the events.
    Raises:
        ValueError: A process requires one that is not there, or itself by a circle.
    """

    def __init__(
        self,
        data_dir: Path,
        processes: Sequence[ManagedProcess],
        *,
        on_ready: Callable[[], None],
        backoff: Backoff | None = None,
        log: LogEvent = log_event,
    ) -> None:
        self._data_dir = data_dir
        self._watched = {process.name: _Watched(process) for process in processes}
        self._levels = _levels(processes)
        self._on_ready = on_ready
        self._backoff = backoff or Backoff()
        self._log = log
        self._announced = False
        self._logs_due_at = time.monotonic()
        self._stop_signal: signal.Signals | None = None
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP, then stop everything within 15 s.

        Call it in the main thread.

        Raises:
            ConfigurationError: Something cannot be started at all; everything is stopped.
            TransientError: Something ended five times before the system was ready once.
        """
        remove_endpoints(self._data_dir)
        with self._selector, self._signals():
            try:
                while self._stop_signal is None:
                    self._selector.select(self._advance())
                    self._drain_wakeups()
            finally:
                self._stop()

    def _advance(self) -> float:
        """Do what is due; return the seconds until more is."""
        for watched in self._watched.values():
            if self._stop_signal is not None:
                return 0.0
            if watched.state in (_State.STARTING, _State.READY) and not watched.process.alive():
                self._ended(watched)
            elif watched.state is _State.STARTING and time.monotonic() >= watched.due_at:
                self._check_ready(watched)
            if watched.state is _State.WAITING and time.monotonic() >= watched.due_at:
                self._start_if_possible(watched)
        if not self._announced and all(w.was_ready for w in self._watched.values()):
            self._announced = True
            self._on_ready()
            self._log("system_ready")
        if time.monotonic() >= self._logs_due_at:
            self._logs_due_at = time.monotonic() + _LOGS_EVERY_S
            for watched in self._watched.values():
                if watched.process.log_path is not None:
                    bound_log(watched.process.log_path)
        due = [w.due_at for w in self._watched.values() if self._is_due_some_time(w)]
        return max(min([*due, self._logs_due_at]) - time.monotonic(), 0.0)

    def _is_due_some_time(self, watched: _Watched) -> bool:
        if watched.state is _State.STARTING:
            return not watched.process.once  # whose end wakes us
        return watched.state is _State.WAITING and self._may_start(watched)

    def _may_start(self, watched: _Watched) -> bool:
        return all(self._watched[name].was_ready for name in watched.process.requires)

    def _start_if_possible(self, watched: _Watched) -> None:
        if not self._may_start(watched):
            return
        process = watched.process
        try:
            pid = process.start()
        except (PlumblineError, OSError) as error:
            if not self._announced:
                raise
            wait_s = self._wait_for_restart(watched)
            self._log("process_not_started", name=process.name, reason=error, retry_in_s=wait_s)
            return
        watched.pidfd = os.pidfd_open(pid)
        self._selector.register(watched.pidfd, selectors.EVENT_READ)
        watched.state = _State.STARTING
        watched.started_at = watched.due_at = time.monotonic()
        watched.ready_poll_s = _FIRST_READY_POLL_S
        self._log("process_started", name=process.name, pid=pid)

    def _check_ready(self, watched: _Watched) -> None:
        if watched.process.once:
            return
        if not watched.process.is_ready():
            watched.due_at = time.monotonic() + watched.ready_poll_s
            watched.ready_poll_s = min(watched.ready_poll_s * 1.5, _SLOWEST_READY_POLL_S)
            return
        self._now_ready(watched, _State.READY)

    def _now_ready(self, watched: _Watched, state: _State) -> None:
        watched.state, watched.was_ready = state, True
        watched.ready_at = time.monotonic()
        after_s = round(watched.ready_at - watched.started_at, 2)
        event = "process_ready" if state is _State.READY else "process_done"
        self._log(event, name=watched.process.name, after_s=after_s)

    def _ended(self, watched: _Watched) -> None:
        process = watched.process
        self._forget(watched)
        process.end_remains()
        if process.once and process.exit_status == 0:
            self._now_ready(watched, _State.DONE)
            return
        stable = time.monotonic() - watched.ready_at >= self._backoff.stable_s
        if watched.state is _State.READY and stable:
            watched.failures = 0
        wait_s = self._wait_for_restart(watched)
        status = process.exit_status
        self._log("process_ended", name=process.name, status=status, restart_in_s=wait_s)
        if not self._announced and watched.failures >= _ATTEMPTS_TO_START:
            what = f"ended {watched.failures} times, last with status {status}"
            raise TransientError(process.explain(what))

    def _wait_for_restart(self, watched: _Watched) -> float:
        watched.failures += 1
        wait_s = self._backoff.wait_s(watched.failures)
        watched.state = _State.WAITING
        watched.due_at = time.monotonic() + wait_s
        return wait_s

    def _forget(self, watched: _Watched) -> None:
        if watched.pidfd is not None:
            self._selector.unregister(watched.pidfd)
            os.close(watched.pidfd)
            watched.pidfd = None

    def _stop(self) -> None:
        began = time.monotonic()
        reason = self._stop_signal.name if self._stop_signal else "error"
        self._log("system_stopping", reason=reason)
        remove_endpoints(self._data_dir)
        for number, level in reversed(list(enumerate(self._levels))):
            self._stop_level(level, began + _STOP_TOTAL_S - number * _STOP_RESERVE_S)
        for watched in self._watched.values():
            self._forget(watched)
        self._log("system_stopped", took_s=round(time.monotonic() - began, 2))

    def _stop_level(self, level: list[ManagedProcess], latest: float) -> None:
        alive = [process for process in level if process.alive()]
        began = time.monotonic()
        for process in alive:
            process.send_signal(process.stop_signal)
        for process in alive:
            deadline = min(began + process.stop_timeout_s, latest)
            if process.wait(deadline - time.monotonic()):
                process.end_remains()
            else:
                self._log("process_killed", name=process.name)
                process.kill()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn signals into wake-ups of the selector."""
        self._wakeup, wakeup_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        wakeup_before = signal.set_wakeup_fd(wakeup_end, warn_on_full_buffer=False)
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # which nohup has set
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._stop_asked) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup_before)
            os.close(wakeup_end)
            os.close(self._wakeup)

    def _stop_asked(self, number: int, _frame: FrameType | None) -> None:
        self._stop_signal = self._stop_signal or signal.Signals(number)

    def _drain_wakeups(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._wakeup, 512):
                pass


def _levels(processes: Sequence[ManagedProcess]) -> list[list[ManagedProcess]]:
    """Order processes so that each requires only such of earlier levels."""
    levels: list[list[ManagedProcess]] = []
    placed: set[str] = set()
    remaining = list(processes)
    while remaining:
        level = [process for process in remaining if placed.issuperset(process.requires)]
        if not level:
            names = ", ".join(process.name for process in remaining)
            msg = f"a required process is missing, or requires itself: {names}"
            raise ValueError(msg)
        levels.append(level)
        placed.update(process.name for process in level)
        remaining = [process for process in remaining if process.name not in placed]
    return levels
