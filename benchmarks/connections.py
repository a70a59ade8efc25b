"""Many devices connected at once, over TLS and each with its own password; every one publishes."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from benchmarks.system import System, running_system
from plumbline import bootstrap
from plumbline.local.device_credentials import devices_of
from plumbline.simulator.verify import verify

_CONNECTED_WITHIN_S = 1800.0
_STORED_WITHIN_S = 600.0
_POLL_S = 0.05
_INTERVAL_S = 30.0


@dataclass(frozen=True, slots=True)
class Connections:
    """Of devices on this machine, as the broker's, which runs here, too.

    Attributes:
        devices: Connected at once.
        registered_s: Until all had their credentials.
        connected_s: From the first connection's begin until all were connected and subscribed.
        broker_mb: Resident memory of Mosquitto with all connected, MiB.
        kib_each: More of it for each connection, KiB.
        broker_cpu_ms: Of Mosquitto for each connection, until all were there.
        stored_s: From the first publication until all were stored; the devices spread them over
            30 s.
        cpu_ms_a_reading: Of Mosquitto, from its device to parsing.
        correct: Every one is stored once with its values, and the account balances.
    """

    devices: int
    registered_s: float
    connected_s: float
    broker_mb: float
    kib_each: float
    broker_cpu_ms: float
    stored_s: float
    cpu_ms_a_reading: float
    correct: bool


def measure(devices: int) -> Connections:
    """Connect so many, and let each publish once."""
    with running_system() as system:
        (broker,) = [one for one in system.servers() if one.name() == "mosquitto"]
        ids = [f"bench-{number:05d}" for number in range(devices)]
        began = time.perf_counter()
        registry = devices_of(system.data_dir, system.endpoints.database_url)
        passwords = {new.username: new.password for new in registry.add_many(ids)}
        registered_s = time.perf_counter() - began
        before, cpu_s = broker.memory_info().rss, _cpu_s(broker)
        truth = system.data_dir.parent / "truth.jsonl"
        began = time.perf_counter()
        with _simulator(system, passwords, truth) as simulator:
            _wait_connected(simulator, truth)
            connected_s = time.perf_counter() - began
            after, connected_cpu_s = broker.memory_info().rss, _cpu_s(broker)
            began = time.perf_counter()
            _wait_stored(system, devices, began)
            stored_s = time.perf_counter() - began
            reading_cpu_s = _cpu_s(broker) - connected_cpu_s
            simulator.wait(_STORED_WITHIN_S)
        account = bootstrap.ledger(system.endpoints.database_url).account()
        found = verify(truth, system.endpoints.database_url)
        correct = found.ok and account.balanced and account.total.stored == devices
    return Connections(
        devices,
        registered_s,
        connected_s,
        after / 2**20,
        (after - before) / devices / 2**10,
        1000 * (connected_cpu_s - cpu_s) / devices,
        stored_s,
        1000 * reading_cpu_s / devices,
        correct,
    )


@contextmanager
def _simulator(
    system: System, passwords: dict[str, str], truth: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    config = truth.with_suffix(".json")
    config.touch(0o600)
    options = {
        "count": len(passwords),
        "interval_s": _INTERVAL_S,
        "scenario": "thermal",
        "ca_file": str(system.data_dir / "tls" / "ca.pem"),
        "connect_timeout_s": _CONNECTED_WITHIN_S,
    }
    members = {
        "url": system.endpoints.mqtts_url,
        "credentials": passwords,
        "truth": str(truth),
        "options": options,
    }
    config.write_text(json.dumps(members))
    argv = [sys.executable, "-m", "plumbline.simulator", "--config", str(config)]
    process = subprocess.Popen(argv)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_connected(simulator: "subprocess.Popen[bytes]", truth: Path) -> None:
    """Wait for the truth file's first line, which is written when all are connected."""
    while not truth.exists() or not truth.stat().st_size:
        if simulator.poll() is not None:
            msg = f"the devices ended with status {simulator.returncode}"
            raise RuntimeError(msg)
        time.sleep(_POLL_S)


def _wait_stored(system: System, readings: int, began: float) -> None:
    with psycopg.connect(system.endpoints.database_url, autocommit=True) as connection:
        while True:
            row = connection.execute("SELECT count(*) FROM sensor_data").fetchone()
            if row is not None and row[0] >= readings:
                return
            if time.perf_counter() - began > _STORED_WITHIN_S:
                msg = f"{row} of {readings} readings stored in {_STORED_WITHIN_S:g} s"
                raise TimeoutError(msg)
            time.sleep(_POLL_S)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
