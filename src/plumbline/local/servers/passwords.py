"""Generated passwords, one file each below ``DATA_DIR/secrets``."""

import os
import secrets
import tempfile
from pathlib import Path

_PASSWORD_BYTES = 24


def password(data_dir: Path, name: str) -> str:
    """Return the password of that name; the first call makes it, of 192 random bits.

    The directory has mode 0700 and the file 0600. Safe for several processes at once.
    """
    directory = data_dir / "secrets"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / name
    if not path.exists():
        temporary = _write_new(directory, name)
        try:
            os.link(temporary, path)  # fails where another process was first; its one counts
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text("ascii")


def renew(data_dir: Path, name: str) -> str:
    """Replace the password of that name with a new one and return it."""
    password(data_dir, name)  # makes the directory
    path = data_dir / "secrets" / name
    _write_new(path.parent, name).replace(path)
    return path.read_text("ascii")


def _write_new(directory: Path, name: str) -> Path:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(_PASSWORD_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return Path(temporary)
