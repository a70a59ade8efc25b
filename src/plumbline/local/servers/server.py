"""What PostgreSQL, Redis and Mosquitto have in common as child processes."""

import os
import signal
import tempfile
from abc import abstractmethod
from pathlib import Path

from plumbline.errors import ConfigurationError
from plumbline.local.servers import ports
from plumbline.local.servers.leftovers import end_leftovers, running_processes
from plumbline.local.servers.privileges import Home, give, make_home
from plumbline.local.servers.process import Launch, ManagedProcess

_LEFTOVER_PATIENCE_S = 5.0

# Nothing of our own environment reaches a server: it would find settings or secrets in it.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


class Server(ManagedProcess):
    """A server with its own directory, user and ports of 127.0.0.1.

    Args:
        name: Of the server, its directory below the data directory, and its log.
        program: Name of its process as the kernel shows it.
        system_user: The package's user, which it runs as where we are root.
        data_dir: The system's data directory.
        stop_signal: Ends it in good order.
        death_signal: Ends it fast but safely, where we die.
    """

    def __init__(  # noqa: PLR0913 - each is one property of a server
        self,
        name: str,
        *,
        program: str,
        system_user: str,
        data_dir: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.directory = self.data_dir / name
        super().__init__(
            name,
            log_path=self.data_dir / "logs" / f"{name}.log",
            stop_signal=stop_signal,
            death_signal=death_signal,
        )
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._program = program
        self._system_user = system_user

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it serves, with user and password."""

    @abstractmethod
    def launch(self, home: Home) -> Launch:
        """Write the server's files and say what to execute."""

    @abstractmethod
    def addresses(self) -> list[tuple[str, int, str]]:
        """Return address, port and the option that sets the port, of each listener."""

    def prepare(self) -> Launch:
        """End what an earlier run left, then make the server's files.

        Raises:
            ConfigurationError: A port is taken, the program is missing or too old, or the
                directory belongs to another user.
        """
        self._end_leftovers()
        for address, port, option in self.addresses():
            if not ports.is_free(port, address):
                msg = f"port {port} of {address} is taken; choose another with {option}"
                raise ConfigurationError(msg)
        home = make_home(self.directory, self._system_user)
        try:
            return self.launch(home)
        except BaseException:
            home.close()
            raise

    def end_remains(self) -> None:
        """End what is left of the server; PostgreSQL's processes are no group of its own."""
        self._end_leftovers()

    def choose_port(self, name: str, port: int | None, preferred: int | None = None) -> int:
        """Return the port; 0 or None takes the one remembered under that name, or a free one.

        Args:
            name: Unique in the data directory.
            port: As asked for.
            preferred: The first choice among the free ones.
        """
        if port:
            return port
        running = bool(running_processes(self._program, self.directory))
        return ports.remembered_port(self.data_dir, name, still_ours=running, preferred=preferred)

    def write(self, home: Home, name: str, content: str | bytes) -> None:
        """Replace a file of the server's own in its directory, mode 0600.

        The server's user could have put a link there; it is replaced, not followed.
        """
        path = home.directory / name
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
            give(Path(temporary), home.identity)
            Path(temporary).replace(path)
        except BaseException:  # such as on a full disk, at one start after the other
            Path(temporary).unlink(missing_ok=True)
            raise

    def _end_leftovers(self) -> None:
        end_leftovers(self._program, self.directory, self._death_signal, _LEFTOVER_PATIENCE_S)
