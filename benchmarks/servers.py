"""The servers that `plumbline up` starts, without a supervisor, for measuring on them."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from plumbline.application.devices import Devices
from plumbline.local.device_credentials import devices_of
from plumbline.local.servers.mosquitto import MosquittoServer
from plumbline.local.servers.postgres import PostgresServer
from plumbline.local.servers.redis import RedisServer

_READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Servers:
    """PostgreSQL, Redis and Mosquitto on free ports of loopback, with everything durable."""

    data_dir: Path
    postgres: PostgresServer
    redis: RedisServer
    mosquitto: MosquittoServer

    def devices(self) -> Devices:
        """Return the registry."""
        return devices_of(self.data_dir, self.postgres.url)


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Start all in a temporary directory and stop them at the end."""
    with ExitStack() as stack:
        data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plumbline-bench-")))
        data_dir.chmod(0o755)
        servers = Servers(
            data_dir, PostgresServer(data_dir), RedisServer(data_dir), MosquittoServer(data_dir)
        )
        for server in (servers.postgres, servers.redis, servers.mosquitto):
            server.start()
            stack.callback(server.stop)
            server.wait_ready(_READY_S)
        yield servers
