"""Where servers listen: free ports, chosen once and kept over restarts, and how to reach them."""

import fcntl
import json
import os
import random
import socket
from pathlib import Path

from plumbline.errors import ConfigurationError

_LOWEST = 10_240
_ATTEMPTS = 1000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FILE = "ports.json"
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


def free_port() -> int:
    """Return a free port below those that the kernel gives to outgoing connections.

    A client that tries again and again to reach a server that is down would in the end be given
    the server's own port as its local one, connect to itself, and keep the server from starting.
    """
    lowest_ephemeral = int(_EPHEMERAL_RANGE.read_text("ascii").split()[0])
    highest = lowest_ephemeral if lowest_ephemeral > _LOWEST + _ATTEMPTS else 65_536
    for _ in range(_ATTEMPTS):
        port = random.randrange(_LOWEST, highest)  # noqa: S311 - a port is no secret
        if is_free(port):
            return port
    msg = f"no free port between {_LOWEST} and {highest} on 127.0.0.1"
    raise ConfigurationError(msg)


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Return whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen(1)
        except OSError:
            return False
    return True


def remembered_port(
    data_dir: Path, name: str, *, still_ours: bool, preferred: int | None = None
) -> int:
    """Return the port chosen for ``name`` before, or choose one and remember it.

    Args:
        data_dir: Keeps ``ports.json``.
        name: Of the server.
        still_ours: A server of ours may be running there yet; else a port taken by a stranger
            is replaced.
        preferred: The first choice, if it is free.
    """
    path = data_dir / _FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ports: dict[str, int] = json.loads(file.read() or "{}")
        if name not in ports or not (still_ours or is_free(ports[name])):
            ports[name] = preferred if preferred and is_free(preferred) else free_port()
            file.seek(0)
            file.truncate()
            json.dump(ports, file, indent=2)
        return ports[name]


def reachable_host(address: str) -> str:
    """Return where this machine reaches a server that listens on the address, or on any."""
    return _ANY.get(address, address)


def url_host(address: str) -> str:
    """Return the same as the host of a URL."""
    host = reachable_host(address)
    return f"[{host}]" if ":" in host else host
