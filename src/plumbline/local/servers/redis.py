"""Redis as a child process."""

from pathlib import Path

from plumbline.local.reachable import cache_answers
from plumbline.local.servers.binaries import find_program, require_version
from plumbline.local.servers.passwords import password
from plumbline.local.servers.privileges import Home
from plumbline.local.servers.process import Launch
from plumbline.local.servers.server import ENVIRONMENT, Server

MINIMUM_VERSION = 7

_HOST = "127.0.0.1"

# The append-only file keeps sessions over a crash, but for their last second. Without eviction a
# full cache refuses writes, which its writers survive, instead of signing people out.
_CONFIG = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir "{directory}"
appendonly yes
appendfsync everysec
save ""
maxmemory 256mb
maxmemory-policy noeviction
daemonize no
logfile ""
loglevel notice
"""


class RedisServer(Server):
    """A Redis below ``DATA_DIR/redis``.

    Args:
        data_dir: The system's data directory.
        port: TCP port of 127.0.0.1; 0 or None takes a free one and keeps it.
    """

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        super().__init__("redis", program="redis-server", system_user="redis", data_dir=data_dir)
        self.port = self.choose_port("redis", port)
        self._password = password(self.data_dir, "redis")

    @property
    def url(self) -> str:
        """Database 0, with the password."""
        return f"redis://:{self._password}@{_HOST}:{self.port}/0"

    def addresses(self) -> list[tuple[str, int, str]]:
        """Return the one listener."""
        return [(_HOST, self.port, "--redis-port")]

    def launch(self, home: Home) -> Launch:
        """Write ``redis.conf``."""
        program = find_program("redis-server", "redis-server")
        require_version(program, "--version", MINIMUM_VERSION)
        config = _CONFIG.format(
            host=_HOST,
            port=self.port,
            password=self._password,
            directory=_quoted(home.inside),
        )
        self.write(home, "redis.conf", config)
        return Launch(
            argv=[str(program), str(home.inside / "redis.conf")],
            environment=ENVIRONMENT,
            directory=home.directory,
            identity=home.identity,
            descriptors=home.descriptors,
        )

    def is_ready(self) -> bool:
        """Return whether it answers a PING; it does not while it loads its file."""
        return cache_answers(self.url)


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
