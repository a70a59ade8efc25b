"""What an operator does: dead letters, quarantine, retention, schema."""

import json
from contextlib import closing
from datetime import UTC, datetime

from e2e.conftest import System, wait_until
from mqtt_device import MqttDevice
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue import PostgresQueue
from plumbline.domain.reading import format_time
from plumbline.errors import QueueUnavailable
from plumbline.ports import OutgoingMessage


def reading(device_id: str) -> str:
    return json.dumps(
        {"device_id": device_id, "timestamp": format_time(datetime.now(UTC)), "tilt_angle": 1.0}
    )


def test_a_poisoned_device_stops_no_other_and_ends_in_the_dead_letter_queue(
    system: System,
) -> None:
    """Five receives, then its later messages go on; the other device never waits."""
    poison = OutgoingMessage("?", {"type": "riddle"}, group_id="a", deduplication_id="poison")
    good = [
        OutgoingMessage(reading(device), {}, group_id=device, deduplication_id=device)
        for device in ("a", "b")
    ]
    with closing(Database(system.endpoints.database_url, QueueUnavailable)) as database:
        assert PostgresQueue(database, "distributing", fifo=True).send([poison, *good]) == []
    wait_until(lambda: system.count("SELECT count(*) FROM device_status") == 2, 60, "both devices")
    [letters] = [one for one in system.json("dlq", "list") if one["queue"] == "distributing"]
    assert letters["messages"] == 1
    [letter] = system.json("dlq", "show", "distributing")
    assert (letter["body"], letter["group_id"], letter["attributes"]) == (
        "?",
        "a",
        {"type": "riddle"},
    )
    assert system.run("status").returncode == 0, "a dead letter is accounted for"
    assert system.run("dlq", "redrive", "distributing").returncode == 0
    wait_until(
        lambda: system.json("dlq", "list")[0]["messages"] == 1, 60, "the letter to be dead again"
    )
    assert system.run("dlq", "purge", "distributing", "--yes").returncode == 0
    assert [one["messages"] for one in system.json("dlq", "list")] == [0, 0]
    assert system.run("dlq", "redrive", "nowhere").returncode == 2


def test_a_refused_message_can_be_seen_replayed_and_purged(system: System) -> None:
    password = system.json("device", "add", "tower")["password"]
    host, port = system.endpoints.mqtt_url.removeprefix("mqtt://").split(":")
    raw = b"x" * 1_000_000
    with MqttDevice((host, int(port)), "tower", password) as device:
        device.publish("tilt/tower/telemetry", raw)
        device.publish("tilt/tower/telemetry", f"[{reading('tower')},7]".encode())
    wait_until(lambda: system.rows() == 1, 30, "the good neighbour")
    wait_until(lambda: len(system.json("quarantine", "list")) == 2, 30, "both refusals")
    newest, oldest = system.json("quarantine", "list", "--device", "tower")
    assert (newest["reason"], newest["item"]) == ("not_an_object", 1)
    assert oldest["reason"] == "payload_too_large"
    shown = system.json("quarantine", "show", str(oldest["id"]))
    assert bytes.fromhex(shown["raw_hex"]) == raw
    assert system.run("quarantine", "replay", str(newest["id"])).returncode == 0
    wait_until(lambda: len(system.json("quarantine", "list")) == 3, 30, "the second refusal")
    assert system.rows() == 1, "the neighbour was not replayed with it"
    again = system.run("quarantine", "replay", str(newest["id"]))
    assert "1 were replayed before" in again.stderr
    assert system.run("quarantine", "show", "999").returncode == 2
    assert system.run("quarantine", "purge", str(oldest["id"]), "--yes").returncode == 0
    account = system.settle()
    assert (account["received"], account["stored"], account["quarantined"]) == (4, 1, 3)


def test_schema_and_retention(system: System) -> None:
    assert system.json("db", "status")["pending"] == []
    assert system.run("db", "migrate").returncode == 0
    report = system.json("db", "prune")
    assert report["partitions"] == 0
    partitions = system.count(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'sensor_data'::regclass"
    )
    assert partitions >= 8, "a week ahead"
