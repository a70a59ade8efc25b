"""The servers that `plumbline up` starts, alone and without a supervisor, for measuring on them."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from plumbline.application.devices import Devices
from plumbline.local.device_credentials import devices_of
from plumbline.local.servers.mosquitto import MosquittoServer
from plumbline.local.servers.postgres import PostgresServer

_READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Servers:
    """A PostgreSQL and a Mosquitto on free ports of loopback, with everything durable."""

    data_dir: Path
    postgres: PostgresServer
    mosquitto: MosquittoServer

    def devices(self) -> Devices:
        """Return the registry."""
        return devices_of(self.data_dir, self.postgres.url)


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Start both in a temporary directory and stop them at the end."""
    with ExitStack() as stack:
        data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plumbline-bench-")))
        data_dir.chmod(0o755)
        servers = Servers(data_dir, PostgresServer(data_dir), MosquittoServer(data_dir))
        for server in (servers.postgres, servers.mosquitto):
            server.start()
            stack.callback(server.stop)
            server.wait_ready(_READY_S)
        yield servers
