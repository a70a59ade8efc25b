"""Locks that keep two runs of one function apart."""

import fcntl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from plumbline.errors import AlreadyRunning


class FileRunLock:
    """One lock file a function: for all processes of one machine; freed when the holder dies."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def hold(self, function: str) -> Iterator[None]:
        """Hold the function's lock.

        Raises:
            AlreadyRunning: Another run holds it.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / f"{function}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                msg = f"another run of {function} is at work"
                raise AlreadyRunning(msg) from error
            yield


class ReservedConcurrencyLock:
    """Nothing to hold: Lambda's reserved concurrency of 1 keeps runs apart."""

    def hold(self, function: str) -> AbstractContextManager[None]:  # noqa: ARG002 - the port's signature
        """Return at once."""
        return nullcontext()
