"""A function that runs by the clock, as an EventBridge rule would run it."""

import threading
import time
from datetime import UTC, datetime

from plumbline.adapters.watchdog import Heart
from plumbline.errors import AlreadyRunning
from plumbline.lambdas.runtime import Handler, logger
from plumbline.local.context import LocalContext
from plumbline.local.function_status import StatusFile
from plumbline.topology import Function, Schedule

_log = logger("schedule")


class ScheduleThread(threading.Thread):
    """Runs one function every ``period_s``; a failed run is retried with exponential back-off.

    A run that takes longer than the period makes the runs it covered fall out; two runs never
    overlap.
    """

    def __init__(  # noqa: PLR0913 - one thread's whole world
        self,
        *,
        schedule: Schedule,
        function: Function,
        handler: Handler,
        period_s: float,
        status: StatusFile,
        heart: Heart,
        stop: threading.Event,
        first_retry_s: float = 1.0,
    ) -> None:
        super().__init__(name=f"schedule-{schedule.name}")
        self._schedule = schedule
        self._function = function
        self._handler = handler
        self._period_s = period_s
        self._status = status
        self._heart = heart
        self._stop_requested = stop
        self._first_retry_s = first_retry_s

    def run(self) -> None:
        """Run until the stop is requested."""
        due = time.monotonic()
        while not self._stop_requested.wait(max(0.0, due - time.monotonic())):
            self._run_once()
            due = max(due + self._period_s, time.monotonic())
        self._status.write()

    def _run_once(self) -> None:
        for attempt in range(1 + self._schedule.max_retries):
            if attempt and self._stop_requested.wait(self._first_retry_s * 2 ** (attempt - 1)):
                return
            started = datetime.now(UTC)
            self._heart.beat()
            try:
                self._handler(
                    {"source": "plumbline.schedule", "resources": [self._schedule.name]},
                    LocalContext(self._function, self._stop_requested),
                )
            except AlreadyRunning as error:
                _log.info("run_skipped", function=self._function.name, reason=str(error))
                return
            except Exception as error:  # noqa: BLE001 - the function's boundary, as Lambda's is
                self._status.ended(started, error)
                _log.warning(
                    "run_failed",
                    function=self._function.name,
                    attempt=attempt + 1,
                    error=f"{type(error).__name__}: {error}",
                )
            else:
                self._status.ended(started)
                return
            finally:
                self._heart.rest()
