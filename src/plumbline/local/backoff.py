"""How long to wait before a process is started again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart: doubled from the first to the longest, seconds.

    Attributes:
        first_s: After the first end.
        longest_s: Never more than this.
        stable_s: A process that has been ready for so long begins again with ``first_s``.
    """

    first_s: float = 0.2
    longest_s: float = 10.0
    stable_s: float = 60.0

    def wait_s(self, failures: int) -> float:
        """Return the wait after that many ends in a row, from 1."""
        return min(self.first_s * 2.0 ** min(failures - 1, 32), self.longest_s)
