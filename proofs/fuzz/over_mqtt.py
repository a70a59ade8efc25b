"""Damaged and made-up payloads to a whole system, and whether it did what was said before."""

import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg

from e2e.conftest import System
from mqtt_device import MqttDevice
from plumbline.domain.device import NetworkServer
from plumbline.domain.reading import Reading
from plumbline.local.device_credentials import devices_of
from plumbline.local.network_servers import users
from proofs.chaos.system_process import logs_of
from proofs.fuzz import payloads
from proofs.fuzz.predict import Expected, expect

_DEVICES = 20
_AT_ONCE = 50
_MOMENTS = 300
"""How many different times good readings have; the more, the fewer duplicates."""
_TOLD_EVERY = 20_000
_SETTLED_WITHIN_S = 1800.0
_ALLOWED = re.compile(
    r"application/[^/]+/device/[^/]+/event/(up|ack|txack)"
    r"|v3/[^/]+/devices/[^/]+/(up|down/(sent|ack|nack|failed))"
)
_FIELDS = (
    "tilt_angle_deg",
    "status",
    "battery_level_pct",
    "tilt_x_deg",
    "tilt_y_deg",
    "tilt_z_deg",
    "temperature_c",
    "rssi_dbm",
    "snr_db",
    "sequence",
)

Draw = Callable[[Random], tuple[str, bytes]]


@dataclass(slots=True)
class MqttReport:
    """What came of it.

    Attributes:
        left_out: Messages whose fate depends on the minute in which they are received.
        wrong: What does not hold, a line each.
    """

    expected: Expected = field(default_factory=Expected)
    acknowledged: int = 0
    left_out: int = 0
    account: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def fuzz_over_mqtt(seed: str, messages: int, say: Callable[[str], None]) -> MqttReport:
    """Publish so many messages to a system of its own, and hold it against what was expected."""
    began = time.monotonic()
    report = MqttReport()
    with TemporaryDirectory(prefix="plumbline-fuzz-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # the servers' users go through it
        system = System(directory / "data", [])
        try:
            system.start()
            before = _processes(system)
            _publish(system, report, Random(f"{seed}.mqtt"), messages, say)
            say("published; waiting until nothing is under way")
            _wait_received(system, report.expected)
            report.account = system.settle(_SETTLED_WITHIN_S)
            report.wrong += _judge_account(report)
            report.wrong += _judge_rows(system, report.expected)
            report.wrong += _judge_quarantine(system, report.expected)
            report.wrong += _judge_processes(system, before)
        finally:
            system.kill_all()
    report.seconds = time.monotonic() - began
    return report


def _publish(
    system: System, report: MqttReport, rng: Random, messages: int, say: Callable[[str], None]
) -> None:
    url = urlsplit(system.endpoints.mqtt_url)
    address = (url.hostname or "", url.port or 0)
    with ExitStack() as stack:
        connections = [
            (stack.enter_context(MqttDevice(address, user, password)), draw)
            for user, password, draw in _senders(system, datetime.now(UTC))
        ]
        told = 0
        while report.acknowledged < messages:
            for connection, draw in connections:
                count = min(_AT_ONCE, messages - report.acknowledged)
                now = datetime.now(UTC)
                drawn: list[tuple[str, bytes]] = []
                while len(drawn) < count:
                    message = draw(rng)
                    expected = expect(*message, now)
                    if expected is None:
                        report.left_out += 1
                    else:
                        report.expected.add(expected)
                        drawn.append(message)
                acknowledged = connection.publish_each(drawn)
                report.acknowledged += acknowledged
                if acknowledged < count:
                    report.wrong.append("the broker closed a connection")
                    return
            if report.acknowledged >= told + _TOLD_EVERY:
                told = report.acknowledged
                say(f"{told:,} messages")


def _senders(system: System, now: datetime) -> Iterator[tuple[str, str, Draw]]:
    """Register everybody; yield user, password and messages of each connection."""
    devices = devices_of(system.data_dir, system.endpoints.database_url)
    lorawan = {one.device_id: one.lorawan for one in payloads.registry().values()}
    devices.add_lorawan(lorawan)
    for one in payloads.registry().values():
        if one.disabled:
            devices.disable(one.device_id)
    names = [payloads.DEVICE, *(f"fuzz-{number:02}" for number in range(1, _DEVICES))]
    telemetry = [payloads.telemetry(now - n * timedelta(minutes=1)) for n in range(_MOMENTS)]
    for new in devices.add_many(names):
        yield new.username, new.password, _of_device(new.username, now, telemetry)
    for server, (user, password) in users(system.data_dir).items():
        yield user, password, _of_server(server, now)


def _of_device(device_id: str, now: datetime, telemetry: Sequence[payloads.Seeds]) -> Draw:
    answers = payloads.answers(now)[f"tilt/{payloads.DEVICE}/commands/ack"]

    def draw(rng: Random) -> tuple[str, bytes]:
        if rng.random() < 0.2:
            return f"tilt/{device_id}/commands/ack", answers.draw(rng)
        return f"tilt/{device_id}/telemetry", rng.choice(telemetry).draw(rng)

    return draw


def _of_server(server: NetworkServer, now: datetime) -> Draw:
    prefix = "application/" if server is NetworkServer.CHIRPSTACK else "v3/"
    answers = {
        topic: seeds
        for topic, seeds in payloads.answers(now).items()
        if topic.startswith(prefix) and _ALLOWED.fullmatch(topic)
    }
    uplinks = payloads.uplinks(now, server)

    def draw(rng: Random) -> tuple[str, bytes]:
        while True:
            if rng.random() < 0.2:
                topic = rng.choice(list(answers))
                return topic, answers[topic].draw(rng)
            topic, payload = uplinks(rng)
            # What MQTT or the access rules forbid, or nobody subscribes to, never arrives.
            if topic.startswith(prefix) and topic.isprintable() and _ALLOWED.fullmatch(topic):
                return topic, payload

    return draw


def _wait_received(system: System, expected: Expected) -> None:
    """Wait until all items were taken from the broker; what is missing then, the judgement says."""
    items = expected.accepted.total() + expected.quarantined.total()
    deadline = time.monotonic() + _SETTLED_WITHIN_S
    while time.monotonic() < deadline:
        if system.json("ledger")["received"] >= items:
            return
        time.sleep(1)


# --- the judgement --------------------------------------------------------------------------


def _judge_account(report: MqttReport) -> Iterator[str]:
    account, expected = report.account, report.expected
    accepted, refused = expected.accepted.total(), expected.quarantined.total()
    stored = account["stored"] + account["duplicates"] + account["conflicts"]
    sums = (
        ("items expected and received", accepted + refused, account["received"]),
        ("items accepted and stored", accepted, stored),
        ("items refused and quarantined", refused, account["quarantined"]),
        ("dead letters", 0, account["dead_lettered"]),
        ("discarded", 0, account["discarded"]),
    )
    if not expected.messages <= account["messages"] <= report.acknowledged:
        yield f"{report.acknowledged:,} messages acknowledged, {account['messages']:,} received"
    for what, one, other in sums:
        if one != other:
            yield f"{what}: {one:,} and {other:,}"


def _judge_rows(system: System, expected: Expected) -> Iterator[str]:
    """Hold each row against the readings of its moment: one of them, the others set aside."""
    rows = _rows(
        system,
        'SELECT device_id, "timestamp", extra, tilt_angle, status, battery_level, tilt_x, tilt_y,'
        " tilt_z, temperature, rssi, snr, sequence FROM sensor_data WHERE frame IS NULL",
    )
    aside = Counter(
        (device_id, at)
        for device_id, at in _rows(
            system,
            'SELECT device_id, "timestamp" FROM reading_duplicate UNION ALL'
            ' SELECT device_id, "timestamp" FROM reading_conflict',
        )
    )
    mqtt = {device_id for device_id, _ in expected.readings}
    found = {(row[0], row[1]): row[2:] for row in rows if row[0] in mqtt}
    for key in found.keys() ^ expected.readings.keys():
        yield f"stored or expected, but not both: {key}"
    for key in found.keys() & expected.readings.keys():
        readings = expected.readings[key]
        if not any(_is_row_of(found[key], reading) for reading in readings):
            yield f"stored otherwise than it was sent: {key}: {found[key]}"
        if aside[key] != len(readings) - 1:
            yield f"{len(readings)} came for {key}, {aside[key]} were set aside"


def _is_row_of(row: tuple[Any, ...], reading: Reading) -> bool:
    extra, *values = row
    return values == [getattr(reading, name) for name in _FIELDS] and _equal(
        extra or {}, dict(reading.extra)
    )


def _equal(one: Any, other: Any) -> bool:  # noqa: ANN401 - any JSON
    """Compare JSON values; the database's numbers are decimal and know no -0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return type(one) is not bool and type(other) is not bool and float(one) == float(other)
    return type(one) is type(other) and bool(one == other)


def _judge_quarantine(system: System, expected: Expected) -> Iterator[str]:
    """Hold what is kept of each refused message against what was published, byte for byte."""
    rows = _rows(
        system,
        "SELECT q.topic, q.reason, q.item, p.raw FROM quarantine q CROSS JOIN LATERAL ("
        " SELECT string_agg(raw, ''::bytea ORDER BY part) AS raw FROM quarantine_part"
        " WHERE delivery_id = q.delivery_id) p",
    )
    found = Counter(
        (topic, reason, item, hashlib.sha256(raw or b"").digest())
        for topic, reason, item, raw in rows
    )
    for what, difference in (
        ("expected in quarantine", expected.quarantined - found),
        ("in quarantine, not expected", found - expected.quarantined),
    ):
        for (topic, reason, item, digest), count in difference.items():
            yield f"{what}: {count} of {topic:.80} {reason} item {item} {digest.hex()[:8]}"


def _rows(system: System, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(system.endpoints.database_url) as connection:
        return connection.execute(query.encode()).fetchall()


def _processes(system: System) -> dict[int, str]:
    """Return the system's own processes: a worker that has crashed would be another one."""
    found = {}
    for process in psutil.Process(system.endpoints.pid).children():
        found[process.pid] = " ".join(process.cmdline())[:200]
    return found


def _judge_processes(system: System, before: dict[int, str]) -> Iterator[str]:
    after = _processes(system)
    for pid in before.keys() - after.keys():
        yield f"ended: {before[pid]}"
    for text in ("deadlock detected", "invocation_failed", "Traceback"):
        count = logs_of(system.data_dir, text)
        if count:
            yield f"{text!r} stands in the logs {count} times"
