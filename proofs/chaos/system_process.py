"""The system under fire, as processes, and what the harness does to them."""

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
import pytest

from e2e.conftest import System
from plumbline.local.servers.passwords import password
from plumbline.local.servers.ports import free_port
from plumbline.local.servers.postgres import SUPERUSER
from proofs.chaos.disks import SmallDisk
from proofs.chaos.inside import environment
from proofs.chaos.knobs import Knobs
from proofs.chaos.plan import DISKS
from proofs.chaos.proxy import Link, Proxies
from proofs.chaos.system import at_port

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
_MORE_FILES_THAN_ARE_READY = 200
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
        circumstances: The mistake of ``planted.BUGS`` in whose circumstances it lives.
        planted: Whether it makes that mistake.
        small_disks: Whether PostgreSQL and the broker have disks that can be filled up.
        proxies: Between its parts, and before its broker.
        knobs: Of its own processes.
        disks: By server; none where not asked for.
    """

    options: list[str] = field(default_factory=list)
    ready_within_s: float = 240.0  # its first drain may find all that waited meanwhile
    circumstances: str | None = None
    planted: bool = False
    small_disks: bool = False
    proxies: Proxies = field(init=False)
    knobs: Knobs = field(init=False)
    disks: dict[str, SmallDisk] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        beside = self.data_dir.parent
        if self.small_disks:
            self.disks = {
                server: SmallDisk(beside / f"{server}.img", self.data_dir / server)
                for server in set(DISKS.values())
            }
        self.knobs = Knobs(beside / "knobs")
        self._ports = ports = {server: free_port() for server in _SERVER_OPTIONS.values()}
        links = {server: Link(server, free_port(), port) for server, port in ports.items()}
        changes = {
            "ports": {server: link.port for server, link in links.items()},
            "environment": environment(
                beside / "knobs", self.circumstances, self.circumstances if self.planted else None
            ),
        }
        self.program = [sys.executable, "-P", "-m", "proofs.chaos.system", json.dumps(changes)]
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

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Have the small disks meanwhile; everything must have ended at the end.

        Raises:
            NoSmallDisks: They cannot be had.
        """
        with ExitStack() as stack:
            for disk in self.disks.values():
                disk.mount()
                stack.callback(disk.unmount)
            yield

    def direct(self, server: str, url: str) -> str:
        """Return the server's URL without the proxy."""
        return at_port(url, self._ports[server])

    def fill(self, part: str) -> SmallDisk:
        """Fill up the disk of one of ``plan.DISKS``; return it.

        As long as a file of PostgreSQL's journal has room, writing fails by the statement. So where
        the part is the journal, it is made to need another file: it then ends itself.
        """
        disk = self.disks[DISKS[part]]
        if part in self.disks:
            disk.fill()
            return disk
        url = self.direct("postgres", self.endpoints.database_url)
        secret = quote(password(self.data_dir, f"postgres-{SUPERUSER}"))
        url = re.sub(r"//.*@", f"//{SUPERUSER}:{secret}@", url)
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(url, autocommit=True) as connection,
        ):
            disk.fill()
            for _ in range(_MORE_FILES_THAN_ARE_READY):
                connection.execute("SELECT pg_logical_emit_message(false, 'proof', '')")
                connection.execute("SELECT pg_switch_wal()")
        disk.fill()  # also where PostgreSQL was away
        return disk

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
        """Kill everything at once, and start it again.

        On a disk with room: a start on a full one is refused, with the reason.
        """
        assert self._process is not None  # noqa: S101 - started
        for disk in self.disks.values():
            disk.free()
        if self._process.poll() is not None:
            pytest.fail("the system had ended by itself")
        family = [psutil.Process(self._process.pid)]
        with suppress(psutil.NoSuchProcess):
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
