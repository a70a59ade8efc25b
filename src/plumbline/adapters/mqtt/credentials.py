"""Who may connect to Mosquitto: its password file, and telling it to read that again."""

import base64
import hashlib
import os
import secrets
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

# Passwords are made here, of 192 random bits, so that no number of iterations makes guessing
# harder; the broker hashes at each connection, and for every connected client at each reload.
_ITERATIONS = 101
_SALT_BYTES = 12
_PASSWORD_BYTES = 24


def generate_password() -> str:
    """Return a new random password: 192 bits as 32 URL-safe characters."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def hash_password(password: str) -> str:
    """Return the password's hash in Mosquitto's format: ``$7$iterations$salt$hash``.

    PBKDF2 with SHA-512 and a fresh salt; only for passwords of ``generate_password`` or of the
    same strength.
    """
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    encoded = [base64.b64encode(part).decode() for part in (salt, digest)]
    return f"$7${_ITERATIONS}${encoded[0]}${encoded[1]}"


def write_password_file(
    path: Path, entries: Mapping[str, str], *, group_id: int | None = None
) -> None:
    """Replace the password file, at once or not at all.

    Args:
        path: The file; its directory exists.
        entries: Hash by user name.
        group_id: Group that may read it, where the broker runs as another user (mode 0640);
            without it only the owner may (0600).
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            if group_id is not None:
                os.fchown(file.fileno(), -1, group_id)
                os.fchmod(file.fileno(), 0o640)
            for user, password_hash in sorted(entries.items()):
                file.write(f"{user}:{password_hash}\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def reload(pid: int) -> None:
    """Make the broker read its password file and access rules again; returns at once.

    Clients whose credentials are still right stay connected.

    Raises:
        ProcessLookupError: No such process.
    """
    os.kill(pid, signal.SIGHUP)
