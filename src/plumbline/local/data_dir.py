"""One running system a data directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plumbline.errors import ConfigurationError


@contextmanager
def locked_data_dir(data_dir: Path) -> Iterator[None]:
    """Hold the data directory, created where it is missing, for one running system.

    The lock ends with this process, however it ends.

    Raises:
        ConfigurationError: Another system runs there, or it cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        msg = f"--data-dir {data_dir} cannot be used: {error.strerror}"
        raise ConfigurationError(msg) from error
    with os.fdopen(descriptor, "r+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = file.read().strip() or "another"
            msg = (
                f"a system runs in {data_dir} already (process {holder});"
                " stop it, or choose another --data-dir"
            )
            raise ConfigurationError(msg) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
