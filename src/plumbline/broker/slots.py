"""The directories of the queues: one a running task, handed from task to task."""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_LOCK = "lock"
_DRAINED = "drained"
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Slot:
    """A directory that this process, and what inherits its descriptor, has for itself.

    Attributes:
        number: From 0.
        directory: ``state`` in it is Mosquitto's.
        descriptor: Holds the lock; Mosquitto inherits it, so that nobody claims the directory
            while a Mosquitto still writes to it.
        used: Whether an earlier task has left its state here.
    """

    number: int
    directory: Path
    descriptor: int
    used: bool

    @property
    def state_dir(self) -> Path:
        """Where Mosquitto keeps its queues."""
        return self.directory / "state"

    def mark_drained(self) -> None:
        """Note that nothing waits here; ``claim`` removes the note."""
        (self.directory / _DRAINED).touch(mode=0o600)

    def release(self) -> None:
        """Let others have it."""
        os.close(self.descriptor)

    @classmethod
    def _try(cls, data_dir: Path, number: int) -> Self | None:
        directory = _directory(data_dir, number)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _try_lock(directory)
        if descriptor is None:
            return None
        state_dir = directory / "state"
        used = state_dir.exists()
        state_dir.mkdir(mode=0o700, exist_ok=True)
        (directory / _DRAINED).unlink(missing_ok=True)
        return cls(number, directory, descriptor, used)

    @classmethod
    def claim(cls, data_dir: Path, count: int, wait: Callable[[float], bool]) -> Self | None:
        """Claim the first free slot, those first that may hold messages; wait for one if need be.

        Args:
            data_dir: Shared by all tasks.
            count: How many slots there are.
            wait: Waits so many seconds; returns True to give up.

        Returns:
            None where ``wait`` gave up.
        """
        while True:
            by_need = sorted(range(count), key=lambda number: not _may_hold(data_dir, number))
            for number in by_need:
                slot = cls._try(data_dir, number)
                if slot is not None:
                    return slot
            if wait(_RETRY_S):
                return None


def count_orphans(data_dir: Path, count: int) -> int:
    """Return how many slots may hold messages and have no task."""
    orphans = 0
    for number in range(count):
        if _may_hold(data_dir, number):
            descriptor = _try_lock(_directory(data_dir, number))
            if descriptor is not None:
                os.close(descriptor)
                orphans += 1
    return orphans


def _directory(data_dir: Path, number: int) -> Path:
    return data_dir / f"slot-{number}"


def _may_hold(data_dir: Path, number: int) -> bool:
    directory = _directory(data_dir, number)
    return (directory / "state").exists() and not (directory / _DRAINED).exists()


def _try_lock(directory: Path) -> int | None:
    """Lock the directory's file; None while another process has it.

    The lock belongs to the open file, so it holds on NFS as on a local disk, and against another
    descriptor of this process too.
    """
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    os.close(descriptor)
    return None
