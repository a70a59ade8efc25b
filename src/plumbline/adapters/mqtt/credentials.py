"""Who may connect to Mosquitto: its password file, and telling it to read that again."""

import base64
import fcntl
import hashlib
import os
import secrets
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

# Mosquitto's own number. More would not make a password of 192 random bits safer, and the broker
# hashes at each connection and, at each reload, for every client: 1,000 in 0.06 s.
_ITERATIONS = 101
_SALT_BYTES = 12


def hash_password(password: str) -> str:
    """Return the password's hash in Mosquitto's format: ``$7$iterations$salt$hash``.

    PBKDF2 with SHA-512 and a fresh salt, fast: only for random passwords.
    """
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    encoded = [base64.b64encode(part).decode() for part in (salt, digest)]
    return f"$7${_ITERATIONS}${encoded[0]}${encoded[1]}"


def write_password_file(path: Path, entries: Mapping[str, str]) -> None:
    """Replace the password file, at once or not at all.

    Only its owner may read it: whoever owns the directory, which is the broker's user where the
    broker has one of its own.

    Args:
        path: The file; its directory exists.
        entries: Hash by user name.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            for user, password_hash in sorted(entries.items()):
                file.write(f"{user}:{password_hash}\n")
            file.flush()
            os.fsync(file.fileno())
            directory = path.parent.stat()
            if directory.st_uid != os.geteuid():
                os.fchown(file.fileno(), directory.st_uid, directory.st_gid)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def reload(pid: int) -> None:
    """Make the broker read its password file, access rules and certificates again.

    Returns at once; a client whose credentials are not right any more is disconnected within a
    second, the others stay. A broker that has just ended reads the files when it starts.

    Only where the ingest session has connected since the broker started. A restarted Mosquitto has
    the session, but not its password: a reload finds that it may not connect, takes its right to
    read, and drops what devices publish for it, until it connects.
    """
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP)


class PasswordFile:
    """Publishes credentials by Mosquitto's password file; see ``ports.DeviceCredentials``.

    Args:
        path: The file.
        service_passwords: Of Plumbline's own users, by name.
        reload_broker: Makes the broker read the file, where one runs; see ``reload``.
    """

    def __init__(
        self,
        path: Path,
        service_passwords: Mapping[str, str],
        reload_broker: Callable[[], None],
    ) -> None:
        self._path = path
        self._service_passwords = service_passwords
        self._reload_broker = reload_broker

    def hash_password(self, password: str) -> str:
        """Return the password's hash in Mosquitto's format."""
        return hash_password(password)

    def publish(self, current: Callable[[], Mapping[str, str]]) -> None:
        """Write the services and the current devices to the file, and make the broker read it."""
        services = {user: hash_password(word) for user, word in self._service_passwords.items()}
        with _locked(self._path.parent):
            write_password_file(self._path, {**current(), **services})
        self._reload_broker()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # and with it the lock
