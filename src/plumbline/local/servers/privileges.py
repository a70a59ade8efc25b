"""Runs a server as an unprivileged user, wherever its data lies, and ties its life to ours."""

import os
import pwd
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from plumbline.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Identity:
    """The user and group that a process runs as."""

    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        """Whether we run as this user ourselves."""
        return self.uid == os.geteuid()


@dataclass(frozen=True, slots=True)
class Home:
    """A server's directory and how the server reaches it.

    Attributes:
        directory: Where it lies; the server's user owns it, nobody else enters.
        identity: That user.
        inside: The same directory as the server must name it.
        descriptor: Open descriptor to hand down, or None where the path alone serves.
    """

    directory: Path
    identity: Identity
    inside: Path
    descriptor: int | None = field(default=None)

    def close(self) -> None:
        """Close the descriptor; only where no server is started with it."""
        if self.descriptor is not None:
            os.close(self.descriptor)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What the server inherits."""
        return () if self.descriptor is None else (self.descriptor,)


def make_home(directory: Path, system_user: str) -> Home:
    """Create a server's directory where it is missing, and open it for the server.

    Root starts a server as the owner of its directory, at first the package's system user. That
    user may be unable to pass a directory above (``/root``, a private temporary directory): then
    the server inherits a descriptor of its directory and names it ``/proc/self/fd/N``, which
    needs no rights above. It gets no capability for this.

    Raises:
        ConfigurationError: The directory belongs to another user, or there is no such system user.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.stat()
    identity = Identity(status.st_uid, status.st_gid)
    if os.geteuid() != 0:
        if not identity.is_ours:
            owner = _user_name(identity.uid)
            msg = f"{directory} belongs to {owner}: run as that user, or choose another --data-dir"
            raise ConfigurationError(msg)
        return Home(directory, identity, directory)
    if identity.uid == 0:
        identity = _system_identity(system_user)
        give(directory, identity)
    if _can_enter(identity, directory):
        return Home(directory, identity, directory)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return Home(directory, identity, Path(f"/proc/self/fd/{descriptor}"), descriptor)


def give(path: Path, identity: Identity) -> None:
    """Make the file or directory the server's own; never what a link there points to."""
    if not identity.is_ours:
        os.chown(path, identity.uid, identity.gid, follow_symlinks=False)


def command(
    argv: list[str], identity: Identity | None = None, death_signal: signal.Signals | None = None
) -> list[str]:
    """Return ``argv`` behind what drops privileges and sets the signal for our own death.

    Args:
        argv: Program and arguments.
        identity: User and group to become; None, or our own, stays as we are.
        death_signal: What the process gets when the thread that started it ends, even by SIGKILL.
    """
    options: list[str] = []
    if identity is not None and not identity.is_ours:
        options += [f"--reuid={identity.uid}", f"--regid={identity.gid}", "--clear-groups"]
    if death_signal is not None:
        options.append(f"--pdeathsig={death_signal.name}")
    return ["setpriv", *options, "--", *argv] if options else argv


def _can_enter(identity: Identity, directory: Path) -> bool:
    test = command(["test", "-x", str(directory)], identity)
    return subprocess.run(test, check=False, cwd="/").returncode == 0


def _system_identity(user: str) -> Identity:
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        msg = (
            f"there is no system user {user} for the server to run as;"
            f" install its package, or run as another user than root"
        )
        raise ConfigurationError(msg) from error
    return Identity(entry.pw_uid, entry.pw_gid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
