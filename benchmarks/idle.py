"""What the whole system costs while nothing happens."""

import time
from dataclasses import dataclass

import psutil

from benchmarks.system import running_system

_SETTLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Idle:
    """Of `plumbline up` without devices, all processes together.

    Attributes:
        cpu_percent: Of one core.
        own_mb: Resident memory of our own (Python) processes, MiB; shared pages count for each.
        own_shared_once_mb: The same with each shared page counted once (proportional set size).
        servers_mb: Of PostgreSQL, Redis and Mosquitto.
        start_s: From the command until everything is ready, with the database made anew.
    """

    cpu_percent: float
    own_mb: float
    own_shared_once_mb: float
    servers_mb: float
    start_s: float


def measure(seconds: float) -> Idle:
    """Start the system and watch it for so long."""
    with running_system() as system:
        time.sleep(_SETTLE_S)
        before = _cpu_seconds([*system.own_processes(), *system.servers()])
        time.sleep(seconds)
        own, servers = system.own_processes(), system.servers()
        return Idle(
            cpu_percent=100 * (_cpu_seconds([*own, *servers]) - before) / seconds,
            own_mb=resident_mb(own),
            own_shared_once_mb=proportional_mb(own),
            servers_mb=resident_mb(servers),
            start_s=system.start_s,
        )


def resident_mb(processes: list[psutil.Process]) -> float:
    """Return the resident memory of the processes together, MiB."""
    return sum(process.memory_info().rss for process in processes) / 2**20


def proportional_mb(processes: list[psutil.Process]) -> float:
    """Return the memory of the processes together, each shared page counted once, MiB."""
    return sum(process.memory_full_info().pss for process in processes) / 2**20


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    """Return what the processes have used, with their children that have ended."""
    return sum(sum(process.cpu_times()[:4]) for process in processes)
