"""Small disks for the servers' data, which can be filled up: ext4 in a file, mounted."""

import errno
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Sparse: what the servers do not write takes no room, and ballast takes none at all.
_SIZE_BYTES = 16 * 2**30
_SMALLEST_PIECE_BYTES = 4096


class NoSmallDisks(Exception):
    """Says why there are none here."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system of its own.

    Attributes:
        image: The file that holds it.
        directory: Where it is mounted.
    """

    image: Path
    directory: Path

    def mount(self) -> None:
        """Make and mount it.

        Raises:
            NoSmallDisks: Only root may mount, and not everywhere.
        """
        if os.geteuid() != 0:
            msg = "only root may mount a file system"
            raise NoSmallDisks(msg)
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.image.open("wb") as file:
            file.truncate(_SIZE_BYTES)
        # No blocks that root alone may take: full is full.
        _require(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(self.image)])
        _require(["mount", "-o", "loop", str(self.image), str(self.directory)])

    def unmount(self) -> None:
        """Take it away, with all that is on it."""
        subprocess.run(["umount", "--lazy", str(self.directory)], check=False)
        self.image.unlink(missing_ok=True)

    def fill(self) -> None:
        """Leave no byte."""
        with self._ballast.open("ab") as file:
            size = file.tell()
            piece = _SIZE_BYTES
            while piece >= _SMALLEST_PIECE_BYTES:
                try:
                    os.posix_fallocate(file.fileno(), size, piece)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    piece //= 2
                else:
                    size += piece

    def free(self) -> None:
        """Give everything back that was filled up."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.directory / "ballast"


def why_no_small_disks(directory: Path) -> str | None:
    """Return why no small disk can be mounted below the directory; None where it can."""
    disk = SmallDisk(directory / "trial.img", directory / "trial")
    try:
        disk.mount()
    except NoSmallDisks as reason:
        return str(reason)
    else:
        return None
    finally:
        with suppress(OSError):
            if disk.directory.is_mount():
                disk.unmount()
            disk.image.unlink(missing_ok=True)
            disk.directory.rmdir()


def _require(argv: list[str]) -> None:
    try:
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        msg = f"there is no {argv[0]}"
        raise NoSmallDisks(msg) from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        msg = f"{argv[0]}: {lines[0] if lines else f'status {done.returncode}'}"
        raise NoSmallDisks(msg)
