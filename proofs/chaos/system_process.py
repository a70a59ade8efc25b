"""The system under fire, as processes, and what the harness does to them."""

import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from e2e.conftest import System
from plumbline.local.servers.ports import free_port
from proofs.chaos.proxy import Link, Proxies

# By part: what its command line holds.
_COMMAND_LINES = {
    "ingestion": "local.worker parsing",
    "pipeline": "local.worker distributing",
    "portal": "plumbline.portal",
    "postgres": "postgres -D",
    "redis": "redis-server",
    "mosquitto": "mosquitto -c",
}
_FOUND_WITHIN_S = 5.0
_ROOT = Path(__file__).parents[2]
_SERVER_OPTIONS = {
    "--mqtt-port": "mosquitto",
    "--postgres-port": "postgres",
    "--redis-port": "redis",
}


@dataclass
class SystemUnderFire(System):
    """A system behind proxies.

    Attributes:
        proxies: Between its parts, and before its broker.
    """

    options: list[str] = field(default_factory=list)
    proxies: Proxies = field(init=False)

    def __post_init__(self) -> None:
        ports = {server: free_port() for server in _SERVER_OPTIONS.values()}
        links = {server: Link(server, free_port(), port) for server, port in ports.items()}
        proxied = json.dumps({server: link.port for server, link in links.items()})
        self.program = [sys.executable, "-P", "-m", "proofs.chaos.system", proxied]
        self.environment = {
            "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}",
            "PORTAL_RATE_LIMIT": "0",
        }
        self.proxies = Proxies([*links.values(), Link("devices", free_port(), ports["mosquitto"])])
        others = ("--mqtts-port", "--portal-port")
        self.ports = [text for option in others for text in (option, str(free_port()))]
        for option, server in _SERVER_OPTIONS.items():
            self.ports += [option, str(ports[server])]

    @property
    def device_url(self) -> str:
        """Where devices connect: through a proxy."""
        return f"mqtt://127.0.0.1:{self.proxies.links['devices'].port}"

    def find(self, part: str) -> psutil.Process | None:
        """Return the part's process, or None where it is not there now."""
        assert self._process is not None  # noqa: S101 - started
        deadline = time.monotonic() + _FOUND_WITHIN_S
        while time.monotonic() < deadline:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(self._process.pid).children():
                    if _COMMAND_LINES[part] in " ".join(child.cmdline()):
                        return child
            time.sleep(0.02)
        return None

    def kill(self, part: str) -> bool:
        """Kill a part, and what it has started; False where it was not there."""
        process = self.find(part)
        if process is None:
            return False
        with suppress(psutil.NoSuchProcess):
            process.kill()
        return True

    def stall(self, part: str) -> list[psutil.Process]:
        """Send a part's processes SIGSTOP; return them for SIGCONT."""
        process = self.find(part)
        if process is None:
            return []
        stalled = [process]
        with suppress(psutil.NoSuchProcess):
            stalled += process.children(recursive=True)
        for one in stalled:
            with suppress(psutil.NoSuchProcess):
                one.suspend()
        return stalled

    def pull_the_plug(self) -> None:
        """Kill everything at once, and start it again."""
        assert self._process is not None  # noqa: S101 - started
        family = [psutil.Process(self._process.pid)]
        family += family[0].children(recursive=True)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        psutil.wait_procs(family[1:], timeout=15)
        (self.data_dir / "endpoints.json").unlink(missing_ok=True)
        self.start()


def resume(processes: list[psutil.Process]) -> None:
    """Let stalled processes go on."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.resume()


def logs_of(data_dir: Path, text: str) -> int:
    """Return how often the text is in the logs of the system."""
    return sum(
        path.read_text("utf-8", errors="replace").count(text)
        for path in (data_dir / "logs").glob("*.log*")
    )
