"""Looks at every process of a system, and into its servers, every few seconds."""

import csv
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from e2e.conftest import System
from plumbline import bootstrap
from plumbline.adapters.redis import connect
from plumbline.topology import TOPOLOGY

_PARTS = {
    "ingestion": "worker parsing",
    "pipeline": "worker distributing",
    "portal": "plumbline.portal",
    "postgres": "postgres -D",
    "redis": "redis-server",
    "mosquitto": "mosquitto -c",
}
"""By part: what its command line holds."""

_SUPERVISOR = "supervisor"
_MB = 2**20
_CLIENTS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
_SIZE = "SELECT pg_database_size(current_database())"


@dataclass(slots=True)
class Samples:
    """What was seen.

    Attributes:
        elapsed_s: When, from the first sample.
        series: Values by name, ``part.what``; one for each time.
        restarts: Of parts, each with the processes' ids.
    """

    elapsed_s: list[float] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=dict)
    restarts: list[str] = field(default_factory=list)

    def add(self, at_s: float, values: Mapping[str, float]) -> None:
        """Add one sample; what was not there before was 0, and is where it is missing."""
        for name in values.keys() - self.series.keys():
            self.series[name] = [0.0] * len(self.elapsed_s)
        self.elapsed_s.append(at_s)
        for name, column in self.series.items():
            column.append(values.get(name, 0.0))

    def write(self, path: Path) -> None:
        """Write them as CSV."""
        names = sorted(self.series)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["elapsed_s", *names])
            for index, at_s in enumerate(self.elapsed_s):
                row = [self.series[name][index] for name in names]
                writer.writerow([f"{at_s:.1f}", *(f"{value:.6g}" for value in row)])


class Sampler(threading.Thread):
    """Samples until stopped.

    Args:
        system: Which runs.
        every_s: Between two samples.
    """

    def __init__(self, system: System, every_s: float) -> None:
        super().__init__(name="sampler", daemon=True)
        self.samples = Samples()
        self._system = system
        self._every_s = every_s
        self._stopping = threading.Event()
        self._up = psutil.Process(system.endpoints.pid)
        self._processes: dict[int, psutil.Process] = {}
        self._first: dict[str, int] = {}

    def run(self) -> None:
        """Sample until stopped."""
        endpoints = self._system.endpoints
        began, due_s = time.monotonic(), 0.0
        redis = connect(endpoints.redis_url)
        queues = [bootstrap.local_queue(endpoints.database_url, q.name) for q in TOPOLOGY.queues]
        with psycopg.connect(endpoints.database_url, autocommit=True) as connection:
            while not self._stopping.wait(max(0.0, due_s - (time.monotonic() - began))):
                due_s += self._every_s
                at_s = time.monotonic() - began
                values = dict(self._of_processes())
                values |= _of_database(connection)
                info = redis.info()
                values["redis.used_mb"] = info["used_memory"] / _MB
                values["redis.clients"] = info["connected_clients"]
                values["redis.keys"] = redis.dbsize()
                for queue in queues:
                    depth = queue.depth()
                    values[f"queue {queue.name}.waiting"] = depth.visible + depth.in_flight
                values |= _of_directories(self._system.data_dir)
                self.samples.add(at_s, values)
        redis.close()

    def stop(self) -> Samples:
        """End after the sample under way; return all."""
        self._stopping.set()
        self.join()
        return self.samples

    def _of_processes(self) -> Iterator[tuple[str, float]]:
        parts = {_SUPERVISOR: self._up}
        for child in self._up.children():
            with suppress(psutil.NoSuchProcess):
                command = " ".join(child.cmdline())
                parts |= {part: child for part, holds in _PARTS.items() if holds in command}
        for part, process in parts.items():
            known = self._first.setdefault(part, process.pid)
            if known != process.pid:
                self.samples.restarts.append(f"{part}: process {known}, then {process.pid}")
                self._first[part] = process.pid
            family = [process] if part == _SUPERVISOR else self._family(process)
            total: Counter[str] = Counter()
            for member in family:
                with suppress(psutil.NoSuchProcess):
                    total.update(_of_process(member))
            for name, value in total.items():
                yield f"{part}.{name}", value

    def _family(self, process: psutil.Process) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [process, *process.children(recursive=True)]
        return []


def _of_process(process: psutil.Process) -> dict[str, float]:
    memory = process.memory_full_info()
    kinds: Counter[bool] = Counter()
    for name in os.listdir(f"/proc/{process.pid}/fd"):  # noqa: PTH208 - ten thousand of them
        with suppress(FileNotFoundError):
            kinds[os.readlink(f"/proc/{process.pid}/fd/{name}").startswith("socket:")] += 1  # noqa: PTH115 - likewise
    return {
        "rss_mb": memory.rss / _MB,
        "pss_mb": memory.pss / _MB,
        "own_mb": memory.uss / _MB,
        "threads": process.num_threads(),
        "sockets": kinds[True],
        "files": kinds[False],
    }


def _of_database(connection: "psycopg.Connection") -> dict[str, float]:
    def number(query: str) -> float:
        row = connection.execute(query.encode()).fetchone()
        return 0.0 if row is None else float(row[0])

    return {
        "postgres.connections": number(_CLIENTS),
        "postgres.database_mb": number(_SIZE) / _MB,
    }


def _of_directories(data_dir: Path) -> dict[str, float]:
    """Sizes of what is below each; of PostgreSQL's log of changes apart, which is recycled."""
    sizes: Counter[str] = Counter()
    for directory, _, _ in os.walk(data_dir):
        part = Path(directory).relative_to(data_dir).parts[:1]
        where = "postgres log" if "pg_wal" in directory else (part[0] if part else "top")
        with suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False):
                        sizes[where] += entry.stat().st_size
    return {f"directory {name}.disk_mb": size / _MB for name, size in sizes.items()}
