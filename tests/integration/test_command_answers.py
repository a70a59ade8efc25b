"""Answers to commands: stored once each, accounted for, refused where they are strange."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from command_world import (
    CHIRPSTACK,
    THINGS_STACK,
    add_command,
    add_device,
    answer,
    command,
    handler_event,
    row_of,
)
from plumbline.adapters.clock import SystemClock
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue import PostgresQueue, declare_queues
from plumbline.adapters.postgres.queue_admin import PostgresQueueAdmin
from plumbline.application.distribute import Distribute
from plumbline.application.intake import Accepted, Intake
from plumbline.application.persist import Persist
from plumbline.application.quarantine import Replay
from plumbline.codecs.queue_message import encode_command_event
from plumbline.domain.command import Command
from plumbline.domain.command_event import CommandEventKind
from plumbline.domain.ledger import Balance
from plumbline.errors import QueueUnavailable
from plumbline.ports import BrokerMessage, OutgoingMessage, PersistOutcome
from plumbline.topology import TOPOLOGY
from store_world import Batch, World, open_world

K = CommandEventKind


@dataclass(slots=True)
class Pipeline:
    """From the broker's messages to the tables."""

    world: World
    intake: Intake
    distributing: PostgresQueue
    db1: PostgresQueue
    dead: PostgresQueue

    def accept(self, *messages: tuple[str, bytes]) -> Accepted:
        """Take messages in, and bring them to the tables."""
        now = datetime.now(UTC)
        accepted = self.intake.accept([BrokerMessage(t, p, 1, now) for t, p in messages])
        assert not accepted.held
        self.work_off()
        return accepted

    def work_off(self) -> None:
        """Bring what is in the queues to the tables."""
        received = self.distributing.receive(100)
        assert Distribute({"db1": self.db1}).run(received) == {}
        self.distributing.delete([m.receipt_handle for m in received])
        received = self.db1.receive(100)
        assert Persist(self.world.store).run(received).failed == {}
        self.db1.delete([m.receipt_handle for m in received])

    def balance(self, device_id: str | None = None) -> Balance:
        account = self.world.ledger.account(device_id)
        assert account.balanced, account.mismatches
        return account.total

    def send(self, one: Command) -> Command:
        """Store a command as if it had been put into its queue."""
        with self.world.database.connection() as connection:
            return add_command(connection, one, attempts=1)

    def row(self, one: Command) -> dict[str, Any]:
        with self.world.database.connection() as connection:
            return row_of(connection, one.command_id)


@pytest.fixture
def pipeline(database_url: str) -> Iterator[Pipeline]:
    with ExitStack() as stack:
        world = stack.enter_context(open_world(database_url))
        database = Database(database_url, QueueUnavailable)
        stack.callback(database.close)
        declare_queues(database, TOPOLOGY.queues)
        distributing = PostgresQueue(database, "distributing", fifo=True)
        with world.database.connection() as connection:
            add_device(connection, "tower")
            add_device(connection, "bridge", CHIRPSTACK)
            add_device(connection, "wall", THINGS_STACK)
        yield Pipeline(
            world,
            Intake(distributing, SystemClock()),
            distributing,
            PostgresQueue(database, "db1", fifo=False),
            PostgresQueue(database, "db1-dlq", fifo=False),
        )


def ack(one: Command, status: str = "acknowledged", device: str = "tower") -> tuple[str, bytes]:
    members = {"command_id": str(one.command_id), "status": status, "detail": "done\nat last"}
    return f"tilt/{device}/commands/ack", json.dumps(members).encode()


def test_a_devices_answer_ends_its_command_and_is_in_the_ledger(pipeline: Pipeline) -> None:
    one, two = pipeline.send(command()), pipeline.send(command())
    assert pipeline.accept(ack(one), ack(two, "failed"), ack(one)).answers == 3
    row = pipeline.row(one)
    assert (row["state"], row["detail"]) == ("acknowledged", "done at last")
    assert row["acknowledged_at"] is not None
    assert pipeline.row(two)["state"] == "failed"
    assert pipeline.balance() == Balance(received=3, stored=2, duplicates=1)
    assert pipeline.balance("tower") == Balance(received=3, stored=2, duplicates=1)
    assert pipeline.world.ledger.fold(datetime.now(UTC) + timedelta(minutes=2)) == 1
    assert pipeline.balance() == Balance(received=3, stored=2, duplicates=1)


def test_an_answer_that_a_queue_delivers_again_counts_once(pipeline: Pipeline) -> None:
    one = pipeline.send(command())
    batch = Batch()
    first, second = answer(batch, 0, one), answer(batch, 1, one)
    assert pipeline.world.persist(first, second).stored == 1
    again = pipeline.world.persist(second, first, batch.receipt({"tower": 2}))
    assert (again.stored, again.duplicates, again.repeated) == (0, 0, 2)
    assert pipeline.balance() == Balance(received=2, stored=1, duplicates=1)


def test_an_answer_to_no_command_or_to_anothers_is_quarantined_with_its_bytes(
    pipeline: Pipeline,
) -> None:
    one, stranger = pipeline.send(command()), command()
    foreign = ack(one, device="thief")
    pipeline.accept(foreign, ack(stranger))
    assert pipeline.row(one)["state"] == "queued", "another device's word counts for nothing"
    newest, first = pipeline.world.quarantine.entries()
    assert {newest.reason, first.reason} == {"unknown_command"}
    of_thief = next(e for e in (newest, first) if e.device_id == "thief")
    assert pipeline.world.quarantine.message(of_thief.entry_id).raw == foreign[1]
    assert pipeline.balance() == Balance(received=2, quarantined=2)
    assert pipeline.balance("thief") == Balance(received=1, quarantined=1)


def test_a_refused_answer_can_be_replayed(pipeline: Pipeline) -> None:
    """Such as one that came while the database was one of yesterday."""
    late = command()
    pipeline.accept(ack(late))
    (entry,) = pipeline.world.quarantine.entries()
    pipeline.send(late)
    replay = Replay(pipeline.world.quarantine, pipeline.intake, SystemClock())
    report = replay.run([entry.entry_id])
    assert (report.readings, report.refused, report.answers, report.skipped) == (0, 0, 1, 0)
    pipeline.work_off()
    assert pipeline.row(late)["state"] == "acknowledged"
    assert pipeline.balance() == Balance(received=2, stored=1, quarantined=1)


def test_a_reading_that_a_clock_behind_took_for_the_future_can_be_replayed(
    pipeline: Pipeline,
) -> None:
    """What was refused for another reason is judged by when it came."""
    now = datetime.now(UTC)
    reading = {"timestamp": now.isoformat(), "tilt_angle": 1.0}
    ancient = {"timestamp": (now - timedelta(days=91)).isoformat(), "tilt_angle": 1.0}
    coming = {"timestamp": (now + timedelta(hours=1)).isoformat(), "tilt_angle": 1.0}
    pipeline.intake.accept(
        [
            BrokerMessage("tilt/d/telemetry", json.dumps(one).encode(), 1, received_at)
            for one, received_at in (
                (reading, now - timedelta(hours=3)),
                (coming, now - timedelta(hours=3)),
                (ancient, now),
            )
        ]
    )
    pipeline.work_off()
    entries = pipeline.world.quarantine.entries()
    assert [one.reason for one in entries] == ["timestamp_too_old", *2 * ["timestamp_in_future"]]
    replay = Replay(pipeline.world.quarantine, pipeline.intake, SystemClock())
    report = replay.run([one.entry_id for one in entries])
    assert (report.readings, report.refused) == (1, 2)
    pipeline.work_off()
    assert pipeline.balance() == Balance(received=6, stored=1, quarantined=5)


def test_what_is_no_answer_is_quarantined_with_its_reason(pipeline: Pipeline) -> None:
    one = pipeline.send(command())
    good = json.loads(ack(one)[1])
    cases = {
        b"": "empty_payload",
        b"{": "invalid_json",
        b"[]": "not_an_object",
        b"x" * 9000: "payload_too_large",
        b"\xff": "not_utf8",
        b'{"status":"acknowledged"}': "missing_field",
        b'{"status":"failed","status":"failed"}': "duplicate_key",
        json.dumps(good | {"command_id": "1"}).encode(): "invalid_field",
        json.dumps(good | {"command_id": good["command_id"].replace("-", "")}).encode(): (
            "invalid_field"
        ),
        json.dumps(good | {"status": "done"}).encode(): "invalid_field",
        json.dumps(good | {"status": None}).encode(): "missing_field",
        json.dumps(good | {"detail": 5}).encode(): "invalid_field",
        json.dumps(good | {"detail": "\0"}).encode(): "invalid_text",
    }
    topic = "tilt/tower/commands/ack"
    accepted = pipeline.accept(
        *[(topic, payload) for payload in cases], ("tilt/ä/commands/ack", b"{}")
    )
    assert accepted.refusals == len(cases) + 1
    entries = pipeline.world.quarantine.entries()
    found = {pipeline.world.quarantine.message(e.entry_id).raw: e.reason for e in entries}
    assert found.pop(b"{}") == "invalid_device_id"
    assert found == cases
    assert pipeline.row(one)["state"] == "queued"
    assert pipeline.balance().quarantined == len(cases) + 1


def test_a_handlers_events_are_in_no_account(pipeline: Pipeline) -> None:
    one = pipeline.send(command())
    event = encode_command_event(handler_event(one, K.SENT))
    unreadable = OutgoingMessage("{", {"type": "command_event"}, "tower", "unreadable")
    assert pipeline.distributing.send([event, unreadable]) == []
    assert pipeline.balance() == Balance()
    received = pipeline.distributing.receive(10)
    pipeline.db1.send([OutgoingMessage(m.body, m.attributes) for m in received])
    pipeline.distributing.delete([m.receipt_handle for m in received])
    report = Persist(pipeline.world.store).run(pipeline.db1.receive(10))
    assert len(report.failed) == 1, "what cannot be read ends in the dead-letter queue"
    assert report.outcome == PersistOutcome(command_events=1)
    assert pipeline.row(one)["state"] == "sent"
    assert pipeline.balance() == Balance()


def test_a_dead_answer_is_accounted_for_and_can_be_purged(
    pipeline: Pipeline, database_url: str
) -> None:
    one = pipeline.send(command())
    batch = Batch()
    dead = encode_command_event(answer(batch, 0, one))
    handlers = encode_command_event(handler_event(one, K.SENT))
    pipeline.dead.send([OutgoingMessage(m.body, m.attributes) for m in (dead, handlers)])
    pipeline.world.persist(batch.receipt({"tower": 1}))
    assert pipeline.balance() == Balance(received=1, dead_lettered=1)
    database = Database(database_url, QueueUnavailable)
    assert PostgresQueueAdmin(database).purge("db1-dlq") == 2
    database.close()
    assert pipeline.balance() == Balance(received=1, discarded=1)


def chirpstack_event(name: str, one: Command, dev_eui: str, **members: object) -> tuple[str, bytes]:
    event = {
        "time": "2026-01-18T10:30:00.123456+00:00",
        "deviceInfo": {"applicationId": CHIRPSTACK.application, "devEui": dev_eui},
        "queueItemId": str(one.command_id),
        **members,
    }
    topic = f"application/{CHIRPSTACK.application}/device/{dev_eui}/event/{name}"
    return topic, json.dumps(event).encode()


def things_stack_event(
    name: str, one: Command, device: str = "wall-7", **members: object
) -> tuple[str, bytes]:
    downlink: dict[str, Any] = {"f_port": 85, "correlation_ids": [f"plumbline:{one.command_id}"]}
    event = {
        "end_device_ids": {"device_id": device, "application_ids": {"application_id": "walls"}},
        "received_at": "2026-01-18T10:30:00.123456789Z",
        f"downlink_{name}": {"downlink": downlink, **members} if name == "failed" else downlink,
    }
    return f"v3/walls@ttn/devices/{device}/down/{name}", json.dumps(event).encode()


def test_chirpstack_answers_for_its_devices_alone(pipeline: Pipeline) -> None:
    one = pipeline.send(command("bridge"))
    other = "24e124713c14ffff"
    pipeline.accept(chirpstack_event("ack", one, other, acknowledged=True))
    assert pipeline.row(one)["state"] == "queued"
    pipeline.accept(chirpstack_event("txack", one, CHIRPSTACK.dev_eui))
    row = pipeline.row(one)
    assert (row["state"], row["ended_at"]) == ("sent", None)
    assert row["transmitted_at"] == datetime(2026, 1, 18, 10, 30, 0, 123456, UTC)
    pipeline.accept(chirpstack_event("ack", one, CHIRPSTACK.dev_eui, acknowledged=True))
    assert pipeline.row(one)["state"] == "acknowledged"
    assert pipeline.balance() == Balance(received=3, stored=2, quarantined=1)


def test_chirpstack_says_that_a_device_did_not_acknowledge(pipeline: Pipeline) -> None:
    """False is left out of its JSON."""
    one = pipeline.send(command("bridge"))
    pipeline.accept(chirpstack_event("ack", one, CHIRPSTACK.dev_eui))
    row = pipeline.row(one)
    assert (row["state"], row["detail"]) == (
        "failed",
        "transmitted, but the device did not acknowledge it",
    )


def test_the_things_stack_answers_for_its_devices_alone(pipeline: Pipeline) -> None:
    one = pipeline.send(command("wall"))
    pipeline.accept(things_stack_event("ack", one, "wall-8"))
    assert pipeline.row(one)["state"] == "queued"
    pipeline.accept(
        things_stack_event("queued", one),
        things_stack_event("sent", one),
        things_stack_event("nack", one),
    )
    row = pipeline.row(one)
    assert (row["state"], row["ended_at"]) == ("sent", None), "the stack will send it again"
    pipeline.accept(things_stack_event("ack", one))
    assert pipeline.row(one)["state"] == "acknowledged"
    assert pipeline.balance() == Balance(received=4, stored=2, duplicates=1, quarantined=1)
    assert pipeline.world.ledger.account().messages == 5, "queued is taken, and kept nowhere"


def test_the_things_stack_says_why_it_failed(pipeline: Pipeline) -> None:
    one = pipeline.send(command("wall"))
    error = {"namespace": "pkg/networkserver", "message_format": "no device session"}
    pipeline.accept(things_stack_event("failed", one, error=error))
    row = pipeline.row(one)
    assert (row["state"], row["detail"]) == ("failed", "no device session")


@pytest.mark.parametrize("first", [K.SENT, K.TRANSMITTED])
def test_a_downlink_that_no_device_confirms_ends_when_it_was_transmitted(
    pipeline: Pipeline, first: CommandEventKind
) -> None:
    one = pipeline.send(command("bridge"))
    sent = handler_event(one, K.SENT, confirmed=False)
    transmitted = answer(Batch(), 0, one, K.TRANSMITTED)
    events = [sent, transmitted] if first is K.SENT else [transmitted, sent]
    pipeline.world.persist(events[0])
    assert pipeline.row(one)["ended_at"] is None
    pipeline.world.persist(events[1])
    row = pipeline.row(one)
    assert row["state"] == "sent"
    assert row["ended_at"] is not None
    assert "does not confirm" in row["detail"]


def test_an_answer_after_the_expiry_is_seen_and_does_not_count(pipeline: Pipeline) -> None:
    one = pipeline.send(command())
    pipeline.world.persist(handler_event(one, K.EXPIRED))
    pipeline.accept(ack(one))
    row = pipeline.row(one)
    assert (row["state"], row["acknowledged_at"] is not None) == ("expired", True)
    assert "all the same" in row["detail"]
