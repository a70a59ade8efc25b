"""What an operator does: dead letters, quarantine, retention, schema."""

import json
import signal
from contextlib import closing
from datetime import UTC, datetime
from uuid import uuid4

import redis

from e2e.conftest import System, wait_until
from mqtt_device import MqttDevice
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue import PostgresQueue
from plumbline.domain.reading import format_time
from plumbline.errors import QueueUnavailable
from plumbline.ports import OutgoingMessage


def reading(device_id: str) -> OutgoingMessage:
    return OutgoingMessage(body(device_id), {}, device_id, str(uuid4()))


def body(device_id: str) -> str:
    now = format_time(datetime.now(UTC))
    return json.dumps({"device_id": device_id, "timestamp": now, "tilt_angle": 1.0})


def test_a_poisoned_device_stops_no_other_and_ends_in_the_dead_letter_queue(
    system: System,
) -> None:
    """What was received together with the poison goes with it, and comes back in order."""
    poison = OutgoingMessage("?", {"type": "riddle"}, group_id="a", deduplication_id="poison")

    def send(*messages: OutgoingMessage) -> None:
        with closing(Database(system.endpoints.database_url, QueueUnavailable)) as database:
            assert PostgresQueue(database, "distributing", fifo=True).send(messages) == []

    def letters() -> int:
        return int(system.json("dlq", "list")[0]["messages"])

    send(poison, reading("a"), reading("b"))
    wait_until(lambda: system.rows() == 1, 30, "the other device")
    wait_until(lambda: letters() == 2, 60, "the dead letters")
    send(reading("a"))
    wait_until(lambda: system.rows() == 2, 30, "the poisoned device to go on")
    first, second = system.json("dlq", "show", "distributing")
    assert (first["body"], first["group_id"], first["attributes"]) == ("?", "a", {"type": "riddle"})
    assert system.run("status").returncode == 0, "a dead letter is accounted for"
    purge = ("dlq", "purge", "distributing", "--yes", "--id", first["message_id"])
    assert system.run(*purge).returncode == 0
    assert system.run(*purge).returncode == 2, "it is gone"
    assert json.loads(second["body"])["device_id"] == "a"
    assert system.run("dlq", "redrive", "distributing").returncode == 0
    wait_until(lambda: system.rows() == 3, 30, "the redriven reading")
    assert letters() == 0
    assert system.run("dlq", "redrive", "nowhere").returncode == 2
    assert system.settle()["stored"] == 3


def test_a_refused_message_can_be_seen_replayed_and_purged(system: System) -> None:
    password = system.json("device", "add", "tower")["password"]
    host, port = system.endpoints.mqtt_url.removeprefix("mqtt://").split(":")
    raw = b"x" * 1_000_000
    with MqttDevice((host, int(port)), "tower", password) as device:
        device.publish("tilt/tower/telemetry", raw)
        device.publish("tilt/tower/telemetry", f"[{body('tower')},7]".encode())
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


def test_p5_2_a_function_whose_server_is_away_is_run_again_until_it_is_back(
    system: System,
) -> None:
    password = system.json("device", "add", "tower")["password"]
    host, port = system.endpoints.mqtt_url.removeprefix("mqtt://").split(":")
    cache = system.child("redis-server")
    cache.send_signal(signal.SIGSTOP)
    with MqttDevice((host, int(port)), "tower", password) as device:
        device.publish("tilt/tower/telemetry", body("tower").encode())

    def sync() -> dict[str, object]:
        functions: list[dict[str, object]] = json.loads(system.run("status", "--json").stdout)[
            "functions"
        ]
        return next(one for one in functions if one["function"] == "sync")

    wait_until(lambda: int(str(sync()["errors"])) >= 3, 60, "three attempts")
    assert "CacheUnavailable" in str(sync()["last_error"])
    assert system.rows() == 1, "what needs no cache goes on"
    cache.send_signal(signal.SIGCONT)
    with closing(redis.Redis.from_url(system.endpoints.redis_url)) as client:
        wait_until(lambda: client.exists("device:tower:status") == 1, 60, "the status")
