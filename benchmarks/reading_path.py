"""From a backlog in the broker to committed rows: the product, and what it is measured against."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import LiteralString, Self
from urllib.parse import urlsplit

import psutil
import psycopg

from benchmarks import references
from benchmarks.idle import proportional_mb, resident_mb
from benchmarks.portal_data import fill
from benchmarks.publisher import payloads, publish_backlog
from benchmarks.system import System, running_system
from plumbline import bootstrap
from plumbline.local.device_credentials import devices_of

_DEVICES = 1000
_TIMEOUT_S = 600.0
_POLL_S = 0.02
# Each takes a few milliseconds of what is measured.
_MEMORY_EVERY_S = 0.5
_START_ANEW_S = 15.0
# Cheap enough to be asked all the time; the count proper only at the end.
_ASSIGNED = "SELECT last_value FROM sensor_data_id_seq"
_COMMITTED = """
SELECT count(*) FROM sensor_data
WHERE device_id BETWEEN 'bench-' AND 'bench-~' AND "timestamp" > now() - interval '1 day'
"""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the table.

    Attributes:
        name: What was measured.
        readings: How many.
        seconds: From the start until the last is committed (or drained).
        peak_mb: Resident memory of all our own processes together at its peak, the portal's too,
            MiB, or None.
        peak_shared_once_mb: The same with each shared page counted once.
    """

    name: str
    readings: int
    seconds: float
    peak_mb: float | None = None
    peak_shared_once_mb: float | None = None

    @property
    def rate(self) -> float:
        """Readings a second."""
        return self.readings / self.seconds


def measure(readings: int, obvious_readings: int, history: int) -> list[Measurement]:
    """Measure the product and its references on the same servers, one after the other.

    Args:
        readings: Backlog of each.
        obvious_readings: Backlog of the obvious script, which is slow.
        history: Measure the product once more beside so many readings of the last 90 days.
    """
    with running_system() as system:
        bench = _Bench(system)
        database, broker = system.endpoints.database_url, system.ingest_url
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
        results.append(Measurement("COPY (no broker)", readings, seconds))
        if history:
            fill(database, history)
            bench.let_workers_start_anew()
            results.append(
                replace(bench.product(readings), name=f"plumbline, {history / 1e6:g} million rows")
            )
        return results


class _Bench:
    def __init__(self, system: System) -> None:
        self._system = system
        url = urlsplit(system.endpoints.mqtt_url)
        self._address = (url.hostname or "", url.port or 0)
        ids = [f"bench-{number:04d}" for number in range(_DEVICES)]
        devices = devices_of(system.data_dir, system.endpoints.database_url)
        self._credentials = {new.username: new.password for new in devices.add_many(ids)}
        self._stored = 0
        # From now on nothing runs but what is measured.
        system.signal_workers(signal.SIGSTOP)

    def publish(self, readings: int) -> None:
        """Fill the broker."""
        publish_backlog(*self._address, self._credentials, readings)

    def payloads(self, readings: int) -> list[bytes]:
        """Return what `publish` would publish."""
        return payloads(list(self._credentials), readings)

    def let_workers_start_anew(self) -> None:
        """Who was stopped for minutes is taken for stuck, and ended, when it goes on.

        They also take what a reference has left in the broker by closing its connection too soon.
        """
        self._system.signal_workers(signal.SIGCONT)
        settled = -1
        ledger = bootstrap.ledger(self._system.endpoints.database_url)
        while (total := ledger.account().total).in_flight or total.received != settled:
            settled = total.received
            time.sleep(_START_ANEW_S)
        self._stored = total.stored
        self._system.signal_workers(signal.SIGSTOP)

    def product(self, readings: int) -> Measurement:
        """Let the workers go on a full broker and wait for the last row."""
        self.publish(readings)
        self._stored += readings
        with psycopg.connect(self._system.endpoints.database_url) as connection:
            assigned = _number(connection, _ASSIGNED) + readings - 1  # 1 before the first, too
        with _PeakMemory(self._system.own_processes()) as peak:
            began = time.perf_counter()
            self._system.signal_workers(signal.SIGCONT)
            self._wait_for_rows(assigned, began)
            seconds = time.perf_counter() - began
        account = bootstrap.ledger(self._system.endpoints.database_url).account()
        self._system.signal_workers(signal.SIGSTOP)
        if not account.balanced or account.total.stored != self._stored:
            msg = f"the account is wrong: {account.total}"
            raise RuntimeError(msg)
        return Measurement("plumbline", readings, seconds, peak.megabytes, peak.shared_once_mb)

    def _wait_for_rows(self, assigned: int, began: float) -> None:
        """Wait, asking the more often the nearer the end is: who asks takes part of the cores."""
        url = self._system.endpoints.database_url
        with psycopg.connect(url, autocommit=True) as connection:
            first = _number(connection, _ASSIGNED)
            while (now := _number(connection, _ASSIGNED)) < assigned or (
                _number(connection, _COMMITTED) < self._stored
            ):
                elapsed_s = time.perf_counter() - began
                if elapsed_s > _TIMEOUT_S:
                    msg = f"not drained in {_TIMEOUT_S:g} s"
                    raise TimeoutError(msg)
                left_s = elapsed_s * (assigned - now) / max(now - first, 1)
                time.sleep(max(_POLL_S, min(left_s / 4, _MEMORY_EVERY_S)))


def _number(connection: psycopg.Connection, query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    return 0 if row is None else int(row[0])


class _PeakMemory:
    """Samples the memory of processes while it is entered, and keeps the peaks, MiB."""

    def __init__(self, processes: list[psutil.Process]) -> None:
        self.megabytes = 0.0
        self.shared_once_mb = 0.0
        self._processes = processes
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(_MEMORY_EVERY_S):
            self.megabytes = max(self.megabytes, resident_mb(self._processes))
            self.shared_once_mb = max(self.shared_once_mb, proportional_mb(self._processes))
