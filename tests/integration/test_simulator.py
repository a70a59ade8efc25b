"""The simulator on a real broker, and `verify` on a real database.

What the simulator published is stored here by the shortest way there is: drained, decoded, and
given to the reading store; the pipeline has its own tests.
"""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import psutil
import psycopg
import pytest

from conftest import Broker
from draining import TELEMETRY, create_session, take
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.reading_store import PostgresReadingStore
from plumbline.codecs.telemetry import decode_message, device_of_topic
from plumbline.domain.delivery import DeliveredReading, Refusal, delivery_id, new_batch_id
from plumbline.domain.reading import Reading
from plumbline.errors import (
    BrokerUnavailable,
    ConfigurationError,
    InvalidPayload,
    StoreUnavailable,
)
from plumbline.ports import BrokerMessage, PersistBatch
from plumbline.simulator.config import Endpoint, SimulationConfig
from plumbline.simulator.connection import DeviceConnection
from plumbline.simulator.device import make_fleet
from plumbline.simulator.faults import Faults
from plumbline.simulator.fleet import run_simulation
from plumbline.simulator.plan import Publication, backlog, plan
from plumbline.simulator.summary import SimulationSummary
from plumbline.simulator.truth import EndLine, ReadingLine, read_truth
from plumbline.simulator.truth_writer import VERSION, TruthWriter
from plumbline.simulator.verify import CHECKS, verify
from plumbline.simulator.verify_report import VerifyReport

DEADLINE_S = 30.0
BATCH = 50
EVERY_FAULT = Faults(duplicates=0.1, late=0.05, out_of_order=0.1, malformed=0.1, disconnects=0.05)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return tmp_path / "truth.jsonl"


@pytest.fixture
def drain(mosquitto: Broker) -> MqttBroker:
    """Return the broker as the parsing function sees it, with its session created."""
    broker = MqttBroker(mosquitto.server.url, TELEMETRY)
    create_session(broker)
    return broker


def plain(mosquitto: Broker, **options: Any) -> SimulationConfig:  # noqa: ANN401 - any of the config's
    return SimulationConfig(url=f"mqtt://{mosquitto.host}:{mosquitto.port}", **options)


def device_ids(count: int) -> list[str]:
    return [f"sim-{number:04d}" for number in range(1, count + 1)]


def run(config: SimulationConfig, credentials: dict[str, str], truth: Path) -> SimulationSummary:
    return run_simulation(config, credentials, truth, io.StringIO())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def unused_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def store(messages: Sequence[BrokerMessage], database_url: str) -> None:
    """Store messages in the order in which they were received."""
    database = Database(database_url, StoreUnavailable)
    readings = PostgresReadingStore(database)
    for start in range(0, len(messages), BATCH):
        items: list[DeliveredReading | Refusal] = []
        batch_id = new_batch_id(datetime.now(UTC))
        for index, message in enumerate(messages[start : start + BATCH]):
            identity = delivery_id(batch_id, index)
            result = _decode(message)
            if isinstance(result, Reading):
                items.append(DeliveredReading(result, identity, message.received_at))
            else:
                items.append(
                    Refusal(
                        delivery_id=identity,
                        device_id=device_of_topic(message.topic),
                        topic=message.topic,
                        raw=message.payload,
                        reason=result.reason,
                        detail=result.detail,
                        received_at=message.received_at,
                    )
                )
        readings.persist(
            PersistBatch(
                readings=[item for item in items if isinstance(item, DeliveredReading)],
                refusals=[item for item in items if isinstance(item, Refusal)],
            )
        )
    database.close()


def _decode(message: BrokerMessage) -> Reading | InvalidPayload:
    try:
        [result] = decode_message(message.topic, message.payload, message.received_at)
    except InvalidPayload as error:
        return error
    return result


# --- publishing ---------------------------------------------------------------------------------


def test_everything_published_is_stored_and_verified(
    mosquitto: Broker, drain: MqttBroker, database_url: str, truth: Path
) -> None:
    """All faults at once: the system's own decoder and store agree with the truth."""
    credentials = mosquitto.add_devices(*device_ids(30))
    summary = run(
        plain(mosquitto, count=1500, at_once=True, faults=EVERY_FAULT), credentials, truth
    )
    store(take(drain), database_url)
    report = verify(truth, database_url)
    assert report.ok, str(report)
    assert set(report.found) == set(CHECKS)
    assert summary.readings == report.readings == report.stored == 1500
    assert summary.acknowledged == summary.published == report.acknowledged
    assert summary.rejected == summary.unacknowledged == 0
    assert summary.published == 1500 + summary.faults["duplicate"] + summary.faults["malformed"]
    assert report.duplicates == summary.faults["duplicate"] > 100
    assert report.malformed == summary.faults["malformed"] > 100
    assert summary.reconnects > 25
    assert summary.sent_again > 0


def test_readings_in_time_carry_the_time_of_measuring(
    mosquitto: Broker, drain: MqttBroker, database_url: str, truth: Path
) -> None:
    credentials = mosquitto.add_devices(*device_ids(10))
    began = time.time()
    summary = run(plain(mosquitto, interval_s=0.1, duration_s=1.0), credentials, truth)
    took_s = time.time() - began
    assert summary.readings == pytest.approx(100, abs=25)
    assert 0.9 < took_s < DEADLINE_S
    phases = set()
    for line in read_truth(truth):
        if isinstance(line, ReadingLine):
            stamp = line.payload["timestamp"]
            at_s = (
                stamp / 1000
                if isinstance(stamp, int)
                else datetime.fromisoformat(stamp).timestamp()
            )
            assert 0.0 <= line.published_at.timestamp() - at_s < 2.0
            phases.add(round(at_s * 1000) % 100)
    assert len(phases) > 5  # devices do not measure all together
    store(take(drain), database_url)
    assert verify(truth, database_url).ok


def test_a_broker_that_restarts_loses_no_device(
    mosquitto: Broker, drain: MqttBroker, database_url: str, truth: Path
) -> None:
    """Devices come back by themselves and send again what was not acknowledged."""
    credentials = mosquitto.add_devices(*device_ids(5))
    config = plain(mosquitto, interval_s=0.02, count=1000)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, config, credentials, truth)
        wait_until(lambda: truth.exists() and truth.read_bytes().count(b'"reading"') > 100)
        mosquitto.server.stop()
        mosquitto.server.start()
        summary = running.result(DEADLINE_S)
    assert summary.acknowledged == summary.published == 1000
    assert summary.reconnects >= 5
    store(take(drain), database_url)
    report = verify(truth, database_url)
    assert report.ok, str(report)


def test_two_runs_into_one_file_are_verified_together(
    mosquitto: Broker, drain: MqttBroker, database_url: str, truth: Path
) -> None:
    """Their periods overlap; each alone would not know the other's readings."""
    credentials = mosquitto.add_devices(*device_ids(3))
    for _ in range(2):
        run(plain(mosquitto, count=60, at_once=True), credentials, truth)
    store(take(drain), database_url)
    report = verify(truth, database_url)
    assert report.ok, str(report)
    assert (report.runs, report.cut_runs, report.devices, report.readings) == (2, 0, 3, 120)


def test_tls_with_the_authority_of_the_broker(
    mosquitto: Broker, drain: MqttBroker, truth: Path
) -> None:
    url = f"mqtts://localhost:{mosquitto.tls_port}"
    credentials = mosquitto.add_devices(*device_ids(3))
    config = SimulationConfig(
        url,
        count=300,
        at_once=True,
        faults=Faults(disconnects=0.05),
        ca_file=str(mosquitto.ca_file),
    )
    summary = run(config, credentials, truth)
    assert summary.acknowledged == 300
    assert summary.reconnects > 0
    assert len({message.payload for message in take(drain)}) == 300


# paho leaves a socket that failed its handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_without_the_authority_is_refused(mosquitto: Broker, truth: Path) -> None:
    url = f"mqtts://localhost:{mosquitto.tls_port}"
    config = SimulationConfig(url, count=1, at_once=True, connect_timeout_s=0.5)
    with pytest.raises(BrokerUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        run(config, mosquitto.add_devices("sim-0001"), truth)


def test_wrong_credentials_are_a_wrong_setting(mosquitto: Broker, truth: Path) -> None:
    config = plain(mosquitto, count=1, at_once=True, connect_timeout_s=0.5)
    with pytest.raises(ConfigurationError, match=r"^credentials: .*stranger"):
        run(config, {"stranger": "guess"}, truth)


def test_who_is_there_stays_until_the_last_has_come(mosquitto: Broker, truth: Path) -> None:
    """The broker cuts off a connection that was silent for one and a half times its keep alive."""
    credentials = {"early": token_urlsafe(), "late": token_urlsafe()}
    mosquitto.set_passwords({"early": credentials["early"]})
    latecomer = threading.Timer(6, mosquitto.set_passwords, [credentials])
    config = plain(mosquitto, count=2, at_once=True, connect_timeout_s=DEADLINE_S, keep_alive_s=2)
    latecomer.start()
    summary = run_simulation(config, credentials, truth, io.StringIO())
    latecomer.join()
    assert summary.elapsed_s < DEADLINE_S
    assert (summary.acknowledged, summary.reconnects) == (2, 0)


def test_no_broker_is_unavailable(truth: Path, unused_port: int) -> None:
    config = SimulationConfig(
        f"mqtt://127.0.0.1:{unused_port}", count=1, at_once=True, connect_timeout_s=0.5
    )
    with pytest.raises(BrokerUnavailable, match="refused"):
        run(config, {"sim-0001": "x"}, truth)


def test_a_refused_publication_is_told_from_an_accepted_one(mosquitto: Broker) -> None:
    """A device may not publish under another's id; MQTT 5 says so in the PUBACK."""
    codes: list[int] = []

    async def publish() -> None:
        endpoint = Endpoint(mosquitto.host, mosquitto.port)
        [(device_id, password)] = mosquitto.add_devices("sim-0001").items()
        connection = DeviceConnection(
            device_id, password, endpoint, lambda _publication, code: codes.append(code)
        )
        await connection.connect(DEADLINE_S)
        for device in ("sim-0001", "sim-0002"):
            await connection.publish(Publication(device, f"tilt/{device}/telemetry", b"{}"))
        await asyncio.wait_for(connection.drained(), DEADLINE_S)
        await connection.close()

    asyncio.run(publish())
    assert codes == [0x10, 0x87]  # nobody subscribes; not authorised


# --- stopping -----------------------------------------------------------------------------------


@pytest.fixture
def process(mosquitto: Broker, tmp_path: Path, truth: Path) -> Iterator[Callable[..., Any]]:
    """Return a function that starts `python -m plumbline.simulator`."""
    started: list[subprocess.Popen[str]] = []

    def start(devices: int = 5, **options: object) -> subprocess.Popen[str]:
        config = tmp_path / "config.json"
        config.write_text(
            json.dumps(
                {
                    "url": f"mqtt://{mosquitto.host}:{mosquitto.port}",
                    "credentials": mosquitto.add_devices(*device_ids(devices)),
                    "truth": str(truth),
                    "options": options,
                }
            )
        )
        command = [sys.executable, "-m", "plumbline.simulator", "--config", str(config)]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.wait()
        if child.stderr is not None:
            child.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_in_order(
    process: Callable[..., subprocess.Popen[str]],
    drain: MqttBroker,
    database_url: str,
    truth: Path,
    number: signal.Signals,
) -> None:
    child = process(interval_s=0.01, faults={"late": 0.1, "malformed": 0.1})
    wait_until(lambda: truth.exists() and truth.read_bytes().count(b'"reading"') > 200)
    child.send_signal(number)
    assert child.wait(timeout=DEADLINE_S) == 0
    assert child.stderr is not None
    assert "stopped before the end" in child.stderr.read()
    *_, last = read_truth(truth)
    assert isinstance(last, EndLine)
    assert last.summary["unacknowledged"] == 0
    store(take(drain), database_url)
    report = verify(truth, database_url)
    assert report.ok, str(report)
    assert report.cut_runs == 0


def test_a_broker_that_does_not_answer_leaves_unacknowledged_readings(
    mosquitto: Broker,
    process: Callable[..., subprocess.Popen[str]],
    drain: MqttBroker,
    database_url: str,
    truth: Path,
) -> None:
    """They are in the truth as such; the frozen broker may have kept some all the same."""
    child = process(interval_s=0.02)
    wait_until(lambda: truth.exists() and truth.read_bytes().count(b'"reading"') > 100)
    assert mosquitto.server.pid is not None
    os.kill(mosquitto.server.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: time.time() - truth.stat().st_mtime > 1.0)  # nothing is answered
        child.terminate()
        assert child.wait(timeout=DEADLINE_S) == 0
    finally:
        os.kill(mosquitto.server.pid, signal.SIGCONT)
    *_, last = read_truth(truth)
    assert isinstance(last, EndLine)
    unanswered = last.summary["unacknowledged"]
    assert 0 < unanswered <= 5 * 20
    store(take(drain), database_url)
    report = verify(truth, database_url)
    assert report.ok, str(report)
    assert report.unacknowledged_stored <= report.unacknowledged == unanswered


def test_kill_9_leaves_a_truth_that_can_be_verified(
    process: Callable[..., subprocess.Popen[str]],
    drain: MqttBroker,
    database_url: str,
    truth: Path,
) -> None:
    """What was acknowledged in the last moments may be stored without being in the file."""
    child = process(interval_s=0.002, faults={"duplicates": 0.1, "malformed": 0.1})
    wait_until(lambda: truth.exists() and truth.read_bytes().count(b'"reading"') > 500)
    child.kill()
    child.wait()
    messages = take(drain)
    store(messages, database_url)
    report = verify(truth, database_url)
    assert report.ok, str(report)
    assert (report.runs, report.cut_runs) == (1, 1)
    assert len(messages) > report.acknowledged > 500


def test_a_wrong_configuration_ends_with_2(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"url": "mqtt://127.0.0.1", "credentials": {}, "options": {"speed": 1}}')
    command = [sys.executable, "-m", "plumbline.simulator", "--config", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "config: speed: unknown\n")


# --- the load it was made for -------------------------------------------------------------------


def test_a_thousand_devices_at_once(
    process: Callable[..., subprocess.Popen[str]], drain: MqttBroker, truth: Path
) -> None:
    """10,000 readings over 1,000 connections, in less than 150 MB."""
    child = process(devices=1000, count=10_000, at_once=True)
    watched, peak = psutil.Process(child.pid), 0
    while child.poll() is None:
        with suppress(psutil.NoSuchProcess):
            peak = max(peak, watched.memory_info().rss)
        time.sleep(0.02)
    assert child.returncode == 0
    assert 20 * 2**20 < peak < 150 * 2**20
    *_, last = read_truth(truth)
    assert isinstance(last, EndLine)
    assert last.summary["devices"] == 1000
    assert last.summary["acknowledged"] == 10_000
    assert last.summary["without_subscriber"] == 0
    assert last.summary["elapsed_s"] < DEADLINE_S
    assert len(take(drain)) == 10_000


# --- what verify must see -----------------------------------------------------------------------


@pytest.fixture
def verified(database_url: str, truth: Path) -> Callable[[], VerifyReport]:
    """Return `verify` on a small run that is stored as it should be; without a broker."""
    now = datetime.now(UTC)
    messages: list[BrokerMessage] = []
    with TruthWriter(truth) as writer:
        names = {"seed": 1, "scenario": "mixed", "started_at": now, "epoch": now, "parameters": {}}
        writer.line("run", run="r", version=VERSION, **names)
        for device in make_fleet(device_ids(4), "mixed", 1, now):
            schedule = backlog(device, 50, 5000, int(now.timestamp() * 1000))
            turns = plan(device, schedule, Faults(malformed=0.2))
            published = [publication for turn in turns for publication in turn.publications]
            for number, one in enumerate(published):
                one.number, one.attempts, one.published_at = number, 1, now.timestamp()
                writer.publication(one, 0)
                messages.append(BrokerMessage(one.topic, one.payload, 1, now))
        writer.line("end", run="r", ended_at=now, summary={})
    store(messages, database_url)
    report = verify(truth, database_url)
    assert report.ok, str(report)
    assert report.stored == 200
    return lambda: verify(truth, database_url)


# What a statement below means by @...: all of one device, so that nothing else changes.
PLACES = {
    "@device": "device_id = 'sim-0002'",
    "@oldest": """device_id = 'sim-0002' AND "timestamp" = (
        SELECT min("timestamp") FROM sensor_data WHERE device_id = 'sim-0002')""",
    "@quarantined": "id = (SELECT min(id) FROM quarantine WHERE device_id = 'sim-0002')",
}


def damage(database_url: str, statement: str) -> None:
    """Change one row."""
    for name, condition in PLACES.items():
        statement = statement.replace(name, condition)
    with psycopg.connect(database_url) as connection:
        assert connection.execute(statement).rowcount == 1


@pytest.mark.parametrize(
    ("statement", "checks"),
    [
        ("DELETE FROM sensor_data WHERE @oldest", {"missing"}),
        ("UPDATE sensor_data SET tilt_angle = tilt_angle + 1e-9 WHERE @oldest", {"different"}),
        ("UPDATE sensor_data SET status = 'alarm' WHERE @oldest", {"different"}),
        ("UPDATE sensor_data SET battery_level = NULL WHERE @oldest", {"different"}),
        (
            "UPDATE sensor_data SET sequence = coalesce(sequence, 0) + 1 WHERE @oldest",
            {"different"},
        ),
        ("UPDATE sensor_data SET tilt_y = coalesce(tilt_y, 0) + 1 WHERE @oldest", {"different"}),
        ("""UPDATE sensor_data SET extra = '{"x": 1}' WHERE @oldest""", {"different"}),
        (
            """UPDATE sensor_data SET "timestamp" = "timestamp" + '1 us' WHERE @oldest""",
            {"missing", "unknown"},
        ),
        (
            """UPDATE sensor_data SET device_id = 'sim-0003', "timestamp" = "timestamp" + '1 us'
                WHERE @oldest""",
            {"missing", "unknown"},
        ),
        ("UPDATE sensor_data SET id = 1000000 WHERE @oldest", {"order"}),
        (
            """INSERT INTO reading_conflict
                   (delivery_id, device_id, "timestamp", reading, received_at)
                SELECT delivery_id, device_id, "timestamp", '{}', received_at
                FROM sensor_data WHERE @oldest""",
            {"conflict"},
        ),
        ("DELETE FROM quarantine WHERE @quarantined", {"quarantine"}),
        ("UPDATE quarantine SET reason = 'codec_failed' WHERE @quarantined", {"quarantine"}),
        ("UPDATE quarantine SET device_id = 'sim-0001' WHERE @quarantined", {"quarantine"}),
        (
            """UPDATE quarantine_part SET raw = raw || '!' WHERE delivery_id =
                (SELECT delivery_id FROM quarantine WHERE @quarantined)""",
            {"quarantine"},
        ),
        ("DELETE FROM device_status WHERE @device", {"status"}),
        (
            "UPDATE device_status SET last_seen = last_seen - '1 us'::interval WHERE @device",
            {"status"},
        ),
        ("UPDATE device_status SET current_status = 'alarm' WHERE @device", {"status"}),
        ("UPDATE device_status SET tilt_angle = 7 WHERE @device", {"status"}),
    ],
)
def test_every_damage_is_found(
    verified: Callable[[], VerifyReport],
    database_url: str,
    statement: str,
    checks: set[str],
) -> None:
    damage(database_url, statement)
    report = verified()
    assert not report.ok
    assert {check for check, count in report.found.items() if count} == checks
    assert all(count <= 1 for count in report.found.values())
    assert {difference.check for difference in report.differences} == checks
    assert "sim-000" in str(report)
    assert "WRONG" in str(report)


def test_a_second_row_of_a_moment_is_found(
    verified: Callable[[], VerifyReport], database_url: str
) -> None:
    """Where somebody has dropped the constraint that forbids it."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "ALTER TABLE sensor_data DROP CONSTRAINT sensor_data_device_id_timestamp_key"
        )
    damage(
        database_url,
        """INSERT INTO sensor_data
           SELECT 1000000, device_id, "timestamp", tilt_angle, status, battery_level, tilt_x,
               tilt_y, tilt_z, temperature, rssi, snr, sequence, extra, received_at, delivery_id,
               created_at
           FROM sensor_data WHERE @oldest""",
    )
    assert verified().found["repeated"] == 1


def test_order_is_not_asked_where_it_cannot_be(
    verified: Callable[[], VerifyReport], database_url: str, truth: Path
) -> None:
    damage(database_url, "UPDATE sensor_data SET id = 1000000 WHERE @oldest")
    assert verified().found["order"] == 1
    report = verify(truth, database_url, check_order=False)
    assert report.ok
    assert "order" not in report.found


@pytest.mark.parametrize(
    "changes",
    [{"attempts": 2}, {"connection": 99}, {"faults": ["late"]}, {"acknowledged_at": None}],
)
def test_order_is_asked_of_readings_sent_once_in_order_on_one_connection(
    verified: Callable[[], VerifyReport],
    database_url: str,
    truth: Path,
    changes: dict[str, object],
) -> None:
    damage(database_url, "UPDATE sensor_data SET id = 1000000 WHERE @oldest")
    assert verified().found["order"] == 1
    lines = [json.loads(text) for text in truth.read_text().splitlines()]
    first = next(x for x in lines if x["type"] == "reading" and x["device"] == "sim-0002")
    first.update(changes)
    truth.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert verified().ok


@pytest.mark.parametrize("faults", [Faults(), Faults(late=0.2, out_of_order=0.2, duplicates=0.2)])
def test_a_truth_that_was_cut_off_asks_for_no_more_than_it_knows(
    mosquitto: Broker, drain: MqttBroker, database_url: str, truth: Path, faults: Faults
) -> None:
    credentials = mosquitto.add_devices(*device_ids(3))
    run(plain(mosquitto, count=300, at_once=True, faults=faults), credentials, truth)
    store(take(drain), database_url)
    whole = truth.read_bytes()
    for share in (0.3, 0.6, 0.9):
        truth.write_bytes(whole[: int(share * len(whole))])
        report = verify(truth, database_url)
        assert report.ok, str(report)
        assert report.cut_runs == 1
        assert 0 < report.readings < 300


STRANGER = """INSERT INTO sensor_data
    SELECT 1000000, device_id, "timestamp" + '1 us', tilt_angle, status, battery_level, tilt_x,
        tilt_y, tilt_z, temperature, rssi, snr, sequence, extra, received_at - '@ago'::interval,
        delivery_id, created_at
    FROM sensor_data WHERE @oldest"""


@pytest.mark.parametrize(("ago", "unknown"), [("0", 1), ("1 day", 0)])
def test_what_was_received_before_the_run_is_not_its_matter(
    verified: Callable[[], VerifyReport], database_url: str, ago: str, unknown: int
) -> None:
    damage(database_url, STRANGER.replace("@ago", ago))
    assert verified().found["unknown"] == unknown


def test_a_run_that_was_cut_off_counts_when_another_follows(
    verified: Callable[[], VerifyReport], database_url: str, truth: Path
) -> None:
    lines = truth.read_bytes().splitlines(keepends=True)
    truth.write_bytes(b"".join([*lines[:-1], lines[0], lines[-1]]))
    report = verified()
    assert report.ok, str(report)
    assert (report.runs, report.cut_runs, report.readings) == (2, 1, 200)
    damage(database_url, STRANGER.replace("@ago", "0"))
    assert verified().found["unknown"] == 1


def test_only_the_first_differences_are_listed_and_all_are_counted(
    verified: Callable[[], VerifyReport], database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM sensor_data")
    report = verified()
    assert report.found["missing"] == 200
    assert len([d for d in report.differences if d.check == "missing"]) == 10
    assert json.loads(json.dumps(report.as_dict(), default=str))["ok"] is False


def test_unacknowledged_readings_may_be_stored_or_not(
    verified: Callable[[], VerifyReport], database_url: str, truth: Path
) -> None:
    """But if they are stored, then with equal values."""
    lines = [json.loads(text) for text in truth.read_text().splitlines()]
    readings = [
        line for line in lines if line["type"] == "reading" and line["device"] == "sim-0002"
    ]
    for line in readings[:2]:
        line["acknowledged_at"] = line["code"] = None
    truth.write_text("".join(json.dumps(line) + "\n" for line in lines))
    damage(database_url, "DELETE FROM sensor_data WHERE @oldest")
    report = verified()
    assert report.ok, str(report)
    assert (report.unacknowledged, report.unacknowledged_stored) == (2, 1)
    damage(database_url, "UPDATE sensor_data SET tilt_angle = 9 WHERE @oldest")
    assert verified().found["different"] == 1


def test_no_database_is_unavailable(truth: Path, unused_port: int) -> None:
    with pytest.raises(StoreUnavailable):
        verify(truth, f"postgresql://postgres@127.0.0.1:{unused_port}/none")


def test_verify_leaves_nothing_behind(
    verified: Callable[[], VerifyReport], database_url: str
) -> None:
    def tables() -> list[Any]:
        with psycopg.connect(database_url) as connection:
            return connection.execute("SELECT relname FROM pg_class ORDER BY 1").fetchall()

    before = tables()
    verified()
    assert tables() == before
