"""From a backlog in the broker to committed rows: the product, and what it is measured against."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import LiteralString, Self

import psutil
import psycopg

from benchmarks import references
from benchmarks.publisher import payloads, publish_backlog
from benchmarks.servers import Servers, running_servers
from plumbline import bootstrap
from plumbline.local.prepare_database import prepare_database
from plumbline.local.running import write_environment
from plumbline.local.servers.process import ProcessSpec, WorkerProcess
from plumbline.local.workers import WORKERS, worker_argv, worker_environment

_DEVICES = 1000
_TIMEOUT_S = 600.0
_POLL_S = 0.02
# Cheap enough to be asked all the time; the count proper only at the end.
_ASSIGNED = "SELECT last_value FROM sensor_data_id_seq"
_COMMITTED = "SELECT count(*) FROM sensor_data"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the table.

    Attributes:
        name: What was measured.
        readings: How many.
        seconds: From the start (of the process, for the product) until the last is committed.
        peak_mb: Resident memory of the measured processes together at its peak, MiB, or None.
    """

    name: str
    readings: int
    seconds: float
    peak_mb: float | None = None

    @property
    def rate(self) -> float:
        """Readings a second."""
        return self.readings / self.seconds


def measure(readings: int, obvious_readings: int) -> list[Measurement]:
    """Measure the product and its references on the same servers, one after the other.

    Args:
        readings: Backlog of each.
        obvious_readings: Backlog of the obvious script, which is slow.
    """
    with running_servers() as servers:
        bench = _Bench(servers)
        database, broker = servers.postgres.url, bench.ingest_url
        results = [bench.product(readings)]
        references.prepare(database)
        timed: list[tuple[str, int, Callable[[int], float]]] = [
            ("raw drain (no database)", readings, lambda n: references.raw_drain(broker, n)),
            ("bare pipe", readings, lambda n: references.bare_pipe(broker, database, n)),
            ("good script", readings, lambda n: references.good_script(broker, database, n)),
            (
                "obvious script",
                obvious_readings,
                lambda n: references.obvious_script(broker, database, n),
            ),
        ]
        for name, count, run in timed:
            bench.publish(count)
            results.append(Measurement(name, count, run(count)))
            references.prepare(database)
        rows = [references.row_of(payload) for payload in bench.payloads(readings)]
        seconds = references.copy_rows(database, rows)
        return [*results, Measurement("COPY (no broker)", readings, seconds)]


class _Bench:
    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._environment = worker_environment(
            run_dir=servers.data_dir / "run",
            database_url=servers.postgres.url,
            redis_url=servers.redis.url,
            broker_url=servers.mosquitto.url,
            ingest_every_s=1.0,
            sync_every_s=5.0,
        )
        write_environment(servers.data_dir, self._environment)
        prepare_database(servers.postgres.url)
        self.ingest_url = servers.mosquitto.url
        broker = bootstrap.ingest_broker(self.ingest_url)
        for address in broker.addresses():
            with broker.open(address):
                pass
        ids = [f"bench-{number:04d}" for number in range(_DEVICES)]
        self._credentials: Mapping[str, str] = {
            new.username: new.password for new in servers.devices().add_many(ids)
        }

    def publish(self, readings: int) -> None:
        """Fill the broker."""
        mosquitto = self._servers.mosquitto
        publish_backlog(mosquitto.host, mosquitto.port, self._credentials, readings)

    def payloads(self, readings: int) -> list[bytes]:
        """Return what `publish` would publish."""
        return payloads(list(self._credentials), readings)

    def product(self, readings: int) -> Measurement:
        """Start the workers on a full broker and wait for the last row."""
        self.publish(readings)
        workers = [
            WorkerProcess(
                ProcessSpec(
                    name=name,
                    argv=worker_argv(name),
                    env=self._environment,
                    log_path=self._servers.data_dir / "logs" / f"{name}.log",
                )
            )
            for name in WORKERS
        ]
        began = time.perf_counter()
        for worker in workers:
            worker.start()
        try:
            with _PeakMemory([worker.pid or 0 for worker in workers]) as peak:
                seconds = self._wait_for_rows(readings, began)
        finally:
            for worker in workers:
                worker.stop()
        account = bootstrap.ledger(self._servers.postgres.url).account()
        if not account.balanced or account.total.stored != readings:
            msg = f"the account is wrong: {account.total}"
            raise RuntimeError(msg)
        return Measurement("plumbline", readings, seconds, peak.megabytes)

    def _wait_for_rows(self, readings: int, began: float) -> float:
        with psycopg.connect(self._servers.postgres.url, autocommit=True) as connection:
            while True:
                if _number(connection, _ASSIGNED) >= readings and (
                    _number(connection, _COMMITTED) >= readings
                ):
                    return time.perf_counter() - began
                if time.perf_counter() - began > _TIMEOUT_S:
                    msg = f"not drained in {_TIMEOUT_S:g} s"
                    raise TimeoutError(msg)
                time.sleep(_POLL_S)


def _number(connection: psycopg.Connection, query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    return 0 if row is None else int(row[0])


class _PeakMemory:
    """Samples the resident memory of processes while it is entered; ``megabytes`` is the peak."""

    def __init__(self, pids: list[int]) -> None:
        self.megabytes = 0.0
        self._processes = [psutil.Process(pid) for pid in pids]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(0.1):
            resident = sum(process.memory_info().rss for process in self._processes)
            self.megabytes = max(self.megabytes, resident / 2**20)
