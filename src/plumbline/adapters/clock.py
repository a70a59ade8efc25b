"""The machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """Wall-clock time of this machine."""

    def now(self) -> datetime:
        """Return the current time, aware UTC."""
        return datetime.now(UTC)
