"""What the harness turns while the system runs, in a file that the system's processes look at."""

import mmap
import struct
from pathlib import Path

_LAYOUT = struct.Struct("dd")


class Knobs:
    """The file, shared by all who open it.

    Attributes:
        ahead_s: How far the clock of the system's processes is ahead; negative for behind.
        refused: Fraction of the entries sent to a queue that it refuses.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)

    @property
    def ahead_s(self) -> float:
        """Seconds."""
        return self._read()[0]

    @ahead_s.setter
    def ahead_s(self, seconds: float) -> None:
        self._write(seconds, self.refused)

    @property
    def refused(self) -> float:
        """From 0 to 1."""
        return self._read()[1]

    @refused.setter
    def refused(self, fraction: float) -> None:
        self._write(self.ahead_s, fraction)

    def _read(self) -> tuple[float, float]:
        ahead_s, refused = _LAYOUT.unpack_from(self._memory)
        return ahead_s, refused

    def _write(self, ahead_s: float, refused: float) -> None:
        _LAYOUT.pack_into(self._memory, 0, ahead_s, refused)
