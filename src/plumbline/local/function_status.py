"""What `plumbline status` shows of a function: one small file each, written by its worker."""

import json
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from plumbline.domain.reading import format_time

_WRITE_EVERY_S = 1.0


@dataclass(slots=True)
class FunctionStatus:
    """Counts since the worker started; times RFC 3339 or None."""

    function: str
    invocations: int = 0
    errors: int = 0
    last_started: str | None = None
    last_ended: str | None = None
    last_duration_s: float | None = None
    last_error: str | None = None
    last_error_at: str | None = None


class StatusFile:
    """Records the invocations of one function, by whichever of its threads.

    Args:
        directory: Where the file lies; made if missing.
        function: Names the file.
    """

    def __init__(self, directory: Path, function: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{function}.json"
        self._status = FunctionStatus(function)
        self._written = 0.0
        self._lock = threading.Lock()

    def ended(self, started: datetime, error: BaseException | None = None) -> None:
        """Record one invocation; at most one write a second, errors at once."""
        now = datetime.now(UTC)
        status = self._status
        with self._lock:
            status.invocations += 1
            status.last_started = format_time(started)
            status.last_ended = format_time(now)
            status.last_duration_s = round((now - started).total_seconds(), 3)
            if error is not None:
                status.errors += 1
                status.last_error = f"{type(error).__name__}: {error}"
                status.last_error_at = status.last_ended
            if error is not None or time.monotonic() - self._written >= _WRITE_EVERY_S:
                self._write()

    def write(self) -> None:
        """Write the file now."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self._status)), "utf-8")
        temporary.replace(self._path)
        self._written = time.monotonic()


def read_all(directory: Path) -> list[FunctionStatus]:
    """Return the status of every function that has run, by name."""
    return [
        FunctionStatus(**json.loads(path.read_text("utf-8")))
        for path in sorted(directory.glob("*.json"))
    ]
