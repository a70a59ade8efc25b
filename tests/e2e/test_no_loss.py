"""Nothing is lost: backlogs, bursts, every kind of bad input, and kills at random moments."""

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from e2e.conftest import System, wait_until

WORKERS = ["local.worker parsing", "local.worker distributing"]


def pause(system: System, signal_number: signal.Signals) -> None:
    for name in WORKERS:
        system.child(name).send_signal(signal_number)


def has_rows(system: System, least: int) -> bool:
    return system.rows() >= least


def test_p1_2_50_000_readings_published_to_a_stopped_pipeline_are_all_stored_once(
    system: System, tmp_path: Path
) -> None:
    """Mosquitto's default would keep 1,000 of them."""
    truth = tmp_path / "truth.jsonl"
    pause(system, signal.SIGSTOP)
    publisher = system.simulate(truth, "--devices", "100", "--count", "50000", "--at-once")
    assert publisher.wait(240) == 0
    assert system.rows() == 0
    pause(system, signal.SIGCONT)
    wait_until(lambda: system.rows() == 50_000, 120, "50,000 rows")
    system.verify(truth)
    account = system.settle()
    assert (account["received"], account["stored"]) == (50_000, 50_000)


def test_p6_2_1_000_devices_10_000_readings_at_once(system: System, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    began = time.monotonic()
    publisher = system.simulate(truth, "--devices", "1000", "--count", "10000", "--at-once")
    assert publisher.wait(240) == 0
    wait_until(lambda: system.rows() == 10_000, 300 - (time.monotonic() - began), "10,000 rows")
    system.verify(truth)
    assert system.settle()["stored"] == 10_000


def test_p6_1_a_reading_is_in_the_database_soon_after_the_broker_has_it(
    system: System, tmp_path: Path
) -> None:
    """The document allows ten minutes; one machine drains every second."""
    truth = tmp_path / "truth.jsonl"
    publisher = system.simulate(
        truth,
        *("--devices", "20", "--count", "200", "--interval", "500ms", "--scenario", "steady"),
    )
    assert publisher.wait(120) == 0
    wait_until(lambda: system.rows() == 200, 30, "200 rows")
    slowest = system.count(
        "SELECT ceil(max(extract(epoch FROM created_at - timestamp))) FROM sensor_data"
    )
    assert slowest <= 10


def test_every_bad_input_is_quarantined_with_its_reason_and_its_neighbours_are_stored(
    system: System, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.jsonl"
    publisher = system.simulate(
        truth,
        *("--devices", "50", "--count", "3000", "--interval", "50ms", "--scenario", "noisy"),
        *("--malformed", "0.2", "--duplicates", "0.1", "--late", "0.02"),
        *("--out-of-order", "0.05", "--disconnects", "0.002"),
    )
    assert publisher.wait(240) == 0
    account = system.settle()
    system.verify(truth)
    assert account["quarantined"] > 300
    assert account["duplicates"] > 100
    assert account["conflicts"] == 0
    reasons = {entry["reason"] for entry in system.json("quarantine", "list", "--limit", "5000")}
    assert len(reasons) > 10
    assert system.json("status")["healthy"]


def kill_postgres(system: System) -> None:
    system.child("postgres -D").kill()


def kill_redis(system: System) -> None:
    system.child("redis-server").kill()


def kill_ingestion(system: System) -> None:
    system.child(WORKERS[0]).kill()


def kill_pipeline(system: System) -> None:
    system.child(WORKERS[1]).kill()


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param([kill_ingestion, kill_pipeline], id="the workers"),
        pytest.param([kill_postgres], id="PostgreSQL"),
        pytest.param([kill_redis, kill_postgres, kill_ingestion, kill_pipeline], id="everything"),
    ],
)
def test_kill_9_in_the_middle_of_20_000_readings_loses_doubles_and_reorders_nothing(
    system: System, tmp_path: Path, kills: list[Callable[[System], None]]
) -> None:
    truth = tmp_path / "truth.jsonl"
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    moments = random.Random(seed)
    publisher = system.simulate(
        truth,
        *("--devices", "200", "--count", "20000", "--interval", "100ms", "--scenario", "thermal"),
    )
    wait_until(lambda: system.rows() > 0, 60, "the first rows")
    for _ in range(2):
        for kill in kills:
            time.sleep(moments.uniform(0.1, 2.0))
            kill(system)
    assert publisher.wait(240) == 0
    wait_until(lambda: system.rows() == 20_000, 180, "20,000 rows")
    account = system.settle()
    system.verify(truth)
    assert account["stored"] == 20_000
    assert account["dead_lettered"] == account["quarantined"] == account["conflicts"] == 0


def test_the_broker_killed_with_9_loses_nothing_and_keeps_the_session(
    system: System, tmp_path: Path
) -> None:
    """Each acknowledged reading was written down before; what comes twice is a duplicate."""
    truth = tmp_path / "truth.jsonl"
    publisher = system.simulate(
        truth,
        *("--devices", "50", "--count", "6000", "--interval", "200ms", "--scenario", "thermal"),
    )
    for kill in range(1, 4):
        wait_until(partial(has_rows, system, 1500 * kill), 60, "more rows")
        broker = system.child("mosquitto -c")
        os.kill(broker.pid, signal.SIGKILL)
        psutil.wait_procs([broker], timeout=5)
    assert publisher.wait(240) == 0
    account = system.settle()
    system.verify(truth)
    assert account["balanced"]
    log = (system.data_dir / "logs" / "ingestion.log").read_text()
    assert log.count("ingest_session_created") <= 1, "the session was lost"
