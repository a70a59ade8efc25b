"""The thread that relays commands; one in every worker process, and they take turns.

Each hears from the database when a command was added or is at its end, wherever that was done, and
each looks by itself now and then.
"""

import logging
import threading
import time

from plumbline import bootstrap
from plumbline.adapters.watchdog import Watchdog
from plumbline.application.relay_commands import RelayReport
from plumbline.errors import PlumblineError
from plumbline.settings import PortalSettings

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 5.0
_AFTER_FAILURE_S = 1.0
# A turn and the wait after it take seconds; who takes longer waits for a server that has gone.
_LONGEST_TURN_S = 45.0
# How soon a stop is seen.
_SLICE_S = 0.5
# Not sooner again for what another transaction has in hand.
_SHORTEST_WAIT_S = 0.05


class RelayThread(threading.Thread):
    """The relay of one process.

    Args:
        settings: Of the portal.
    """

    def __init__(self, settings: PortalSettings) -> None:
        super().__init__(name="command-relay", daemon=True)
        self._relay, self._outbox = bootstrap.relay_commands(settings)
        self._stop_requested = threading.Event()
        self._watchdog = Watchdog(
            lambda name: _log.critical("thread_does_not_come_back", extra={"part": name})
        )
        self._heart = self._watchdog.heart(self.name, _LONGEST_TURN_S)

    def run(self) -> None:
        """Relay until the stop is requested."""
        self._watchdog.start()
        while not self._stop_requested.is_set():
            try:
                self._wait(self._work_off())
            except PlumblineError as error:
                _log.warning("command_relay_failed", extra={"error": str(error)})
                self._stop_requested.wait(_AFTER_FAILURE_S)
            except Exception:  # noqa: BLE001 - the thread's boundary: commands must go on
                _log.exception("command_relay_failed")
                self._stop_requested.wait(_AFTER_FAILURE_S)
        self._watchdog.stop()
        self._outbox.close()

    def stop(self) -> None:
        """End after the turn under way, and wait for that."""
        self._stop_requested.set()
        self.join()

    def _work_off(self) -> float:
        """Take turns until there is nothing to do; return for how many seconds."""
        self._heart.beat()
        self._outbox.listen()
        while not (report := self._take_turn()).idle:
            pass
        due_s = _LOOK_EVERY_S if report.next_due_s is None else report.next_due_s
        return min(max(due_s, _SHORTEST_WAIT_S), _LOOK_EVERY_S)

    def _take_turn(self) -> RelayReport:
        self._heart.beat()
        return self._relay.run()

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._stop_requested.is_set():
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._outbox.wait(min(left_s, _SLICE_S)):
                return
