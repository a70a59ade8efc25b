"""One structured line an event, for processes too small for a logging library."""

import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol


class LogEvent(Protocol):
    """Logs a constant event name with its fields."""

    def __call__(self, event: str, /, **fields: object) -> None:
        """Log one event."""


def log_event(event: str, /, **fields: object) -> None:
    """Write one line to standard error: time, event, ``name=value`` of each field."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    line = " ".join([f"{now}Z", event, *(f"{name}={value}" for name, value in fields.items())])
    with suppress(OSError):  # a closed terminal must not stop the system
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
