"""The relay: one command of a device on its way, in order, expiring to the moment."""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from command_world import (
    THINGS_STACK,
    add_command,
    add_device,
    command,
    handler_event,
    row_of,
)
from e2e.conftest import wait_until
from fakes import MemoryQueue
from plumbline.adapters.postgres.command_outbox import PostgresCommandOutbox
from plumbline.adapters.postgres.database import Database
from plumbline.application.relay_commands import RelayCommands, RelayReport
from plumbline.codecs.command_queue import QueuedCommand, Withdrawal, decode
from plumbline.domain.command import Command
from plumbline.domain.command_event import CommandEventKind
from plumbline.errors import QueueUnavailable, StoreUnavailable
from plumbline.ports import OutgoingMessage, SendFailure
from store_world import open_world

GRACE_S = 600.0
K = CommandEventKind


class FailingQueue(MemoryQueue):
    """Refuses on demand: everything, messages of a group, or of a type."""

    down = False
    refused: frozenset[str] = frozenset()
    refused_types: frozenset[str] = frozenset()

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        if self.down:
            msg = "the queue is away"
            raise QueueUnavailable(msg)
        bad = [i for i, m in enumerate(messages) if self._refuses(m)]
        assert super().send([m for i, m in enumerate(messages) if i not in bad]) == []
        return [SendFailure(i, "InternalError", "", sender_fault=False) for i in bad]

    def _refuses(self, message: OutgoingMessage) -> bool:
        return message.group_id in self.refused or message.attributes["type"] in self.refused_types


class Relay:
    """A relay, its queues, and the database that it looks into."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connection: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
        self.database = Database(url, StoreUnavailable)
        self.outbox = PostgresCommandOutbox(self.database, GRACE_S)
        self.mqtt = FailingQueue("mqtt-command", fifo=True)
        self.lorawan = FailingQueue("lorawan-command", fifo=True)
        queues = {"mqtt-command": self.mqtt, "lorawan-command": self.lorawan}
        self.use_case = RelayCommands(self.outbox, queues)
        add_device(self.connection, "tower")
        add_device(self.connection, "mast")
        add_device(self.connection, "wall", THINGS_STACK)

    def close(self) -> None:
        self.connection.close()
        self.database.close()

    def add(self, *commands: Command, attempts: int = 0) -> list[Command]:
        return [add_command(self.connection, one, attempts=attempts) for one in commands]

    def run(self) -> list[RelayReport]:
        """Take turns until one is idle, and return the others."""
        reports = list(itertools.takewhile(lambda r: not r.idle, iter(self.use_case.run, None)))
        assert len(reports) < 10
        return reports

    def received(self, queue: MemoryQueue) -> list[Command | Withdrawal]:
        """Take what is in a queue."""
        messages = queue.receive(100)
        queue.delete([m.receipt_handle for m in messages])
        contents = [decode(message) for message in messages]
        return [c.command if isinstance(c, QueuedCommand) else c for c in contents]

    def end(self, one: Command, state: str = "acknowledged") -> None:
        self.connection.execute(
            "UPDATE commands SET state = %s, ended_at = now() WHERE command_id = %s",
            (state, one.command_id),
        )

    def change(self, one: Command, assignments: str) -> None:
        """Change a command's row."""
        statement = f"UPDATE commands SET {assignments} WHERE command_id = %s"  # noqa: S608 - of these tests
        self.connection.execute(statement.encode(), (one.command_id,))

    def row(self, one: Command) -> dict[str, Any]:
        return row_of(self.connection, one.command_id)


@pytest.fixture
def relay(database_url: str) -> Iterator[Relay]:
    made = Relay(database_url)
    yield made
    made.close()


def expired(life_s: float = 60, ago_s: float = 1, device_id: str = "tower") -> Command:
    """Make a command whose time has been over for a while."""
    issued_at = datetime.now(UTC) - timedelta(seconds=life_s + ago_s)
    return command(device_id, life_s=life_s, issued_at=issued_at)


def test_of_each_device_the_first_command_goes_and_the_next_when_it_has_ended(
    relay: Relay,
) -> None:
    first, other, second, third = relay.add(command(), command("mast"), command(), command())
    relay.run()
    assert relay.received(relay.mqtt) == [first, other]
    relay.run()
    assert relay.received(relay.mqtt) == []
    for earlier, later in ((first, second), (second, third)):
        relay.end(earlier)
        relay.run()
        assert relay.received(relay.mqtt) == [later]
    assert relay.row(third)["attempts"] == 1


@pytest.mark.parametrize("state", ["acknowledged", "failed", "expired", "cancelled"])
def test_every_end_lets_the_next_command_go(relay: Relay, state: str) -> None:
    first, second = relay.add(command(), command())
    relay.run()
    relay.end(first, state)
    relay.run()
    assert relay.received(relay.mqtt) == [first, second]


def test_a_command_without_an_answer_holds_the_next_until_its_time_is_over(relay: Relay) -> None:
    first, second = relay.add(command(), command())
    relay.run()
    relay.change(first, "state = 'sent', sent_at = now()")
    relay.run()
    assert relay.received(relay.mqtt) == [first]
    relay.change(first, "issued_at = now() - interval '1 h', expires_at = now() - interval '1 ms'")
    relay.run()
    assert relay.received(relay.mqtt) == [second]
    assert relay.row(first)["state"] == "sent", "its answer may be under way"


def test_what_waits_expires_to_the_moment_and_goes_into_no_queue(relay: Relay) -> None:
    late, good = relay.add(expired(ago_s=0.001), command())
    relay.run()
    assert relay.received(relay.mqtt) == [good]
    row = relay.row(late)
    assert row["state"] == "expired"
    assert row["expired_at"] == row["ended_at"] is not None


def test_what_was_sent_expires_after_the_time_that_an_answer_may_take(relay: Relay) -> None:
    in_time, late = relay.add(
        expired(ago_s=GRACE_S - 60, device_id="tower"),
        expired(ago_s=GRACE_S + 1, device_id="mast"),
        attempts=1,
    )
    for one in (in_time, late):
        relay.change(one, "state = 'sent', sent_at = now()")
    (report,) = relay.run()
    assert report.next_due_s is not None
    assert 0 < report.next_due_s <= 60
    assert relay.row(in_time)["state"] == "sent"
    assert (relay.row(late)["state"], relay.row(late)["detail"]) == (
        "expired",
        "sent, and no answer came",
    )


def test_the_relay_knows_when_something_is_due(relay: Relay) -> None:
    assert relay.use_case.run() == RelayReport()
    relay.add(command(life_s=100), command("mast", life_s=50))
    (report,) = relay.run()
    assert report.next_due_s is not None
    assert 45 < report.next_due_s <= 50


@pytest.mark.parametrize(
    ("attempt", "pause_s"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (99, 300)]
)
def test_an_attempt_that_nobody_took_is_repeated_later_and_with_another_id(
    relay: Relay, database_url: str, attempt: int, pause_s: int
) -> None:
    (one,) = relay.add(command(), attempts=attempt)
    with open_world(database_url) as world:
        world.persist(handler_event(one, K.UNDELIVERED, attempt, detail="nobody is there"))
        # An event of an attempt that is over changes nothing.
        world.persist(handler_event(one, K.UNDELIVERED, max(0, attempt - 1)))
    row = relay.row(one)
    assert (row["state"], row["relayed_at"], row["detail"]) == ("queued", None, "nobody is there")
    wait_s = (row["next_attempt_at"] - datetime.now(UTC)).total_seconds()
    assert pause_s - 3 < wait_s <= pause_s
    relay.run()
    assert relay.received(relay.mqtt) == []
    relay.change(one, "next_attempt_at = now()")
    relay.run()
    (message,) = relay.mqtt.peek(10)
    assert message.deduplication_id == f"{one.command_id}.{attempt + 1}"
    assert message.attributes["attempt"] == str(attempt + 1)
    assert relay.row(one)["attempts"] == attempt + 1


def test_the_first_attempt_has_the_commands_id(relay: Relay) -> None:
    (one,) = relay.add(command())
    relay.run()
    (message,) = relay.mqtt.peek(10)
    assert message.deduplication_id == str(one.command_id)


def test_a_command_that_waits_for_another_attempt_holds_the_next(relay: Relay) -> None:
    first, second = relay.add(command(), command())
    relay.run()
    assert relay.received(relay.mqtt) == [first]
    relay.change(first, "relayed_at = NULL, next_attempt_at = now() + interval '1 min'")
    relay.run()
    assert relay.received(relay.mqtt) == []
    assert relay.row(second)["relayed_at"] is None


def test_a_crash_after_the_queue_accepted_repeats_the_same_message(relay: Relay) -> None:
    """The queue knows it by its id."""
    (one,) = relay.add(command())
    relay.run()
    assert relay.received(relay.mqtt) == [one]
    relay.change(one, "relayed_at = NULL, attempts = 0")  # nothing of it was remembered
    relay.run()
    assert relay.received(relay.mqtt) == []
    assert relay.row(one)["attempts"] == 1


def test_an_attempt_that_the_relay_forgot_is_counted_when_its_word_comes(
    relay: Relay, database_url: str
) -> None:
    """Else its repetition would be swallowed by the queue, and the command wait for nothing."""
    (one,) = relay.add(command())
    with open_world(database_url) as world:
        world.persist(handler_event(one, K.UNDELIVERED, 1))
    row = relay.row(one)
    assert (row["attempts"], row["relayed_at"]) == (1, None)
    assert row["next_attempt_at"] is not None


def test_a_disabled_device_gets_nothing(relay: Relay) -> None:
    (one,) = relay.add(command())
    relay.connection.execute("UPDATE devices SET disabled_at = now()")
    relay.run()
    assert relay.received(relay.mqtt) == []
    relay.connection.execute("UPDATE devices SET disabled_at = NULL")
    relay.run()
    assert relay.received(relay.mqtt) == [one]


def test_what_a_queue_refuses_waits_and_stops_no_other(relay: Relay) -> None:
    first, other, third = relay.add(command(), command("mast"), command("wall"))
    relay.mqtt.refused = frozenset({"tower"})
    relay.run()
    assert relay.received(relay.mqtt) == [other]
    assert relay.received(relay.lorawan) == [third]
    assert relay.row(first)["relayed_at"] is None
    relay.mqtt.refused = frozenset()
    relay.run()
    assert relay.received(relay.mqtt) == [first]


def test_a_queue_that_is_away_stops_neither_the_other_nor_the_expiry(relay: Relay) -> None:
    first, other, late = relay.add(command(), command("wall"), expired(device_id="mast"))
    relay.mqtt.down = True
    with pytest.raises(QueueUnavailable):
        relay.use_case.run()
    assert relay.received(relay.lorawan) == [other]
    assert relay.row(other)["relayed_at"] is not None
    assert relay.row(late)["state"] == "expired"
    relay.mqtt.down = False
    relay.run()
    assert relay.received(relay.mqtt) == [first]


def test_two_relays_take_turns(relay: Relay) -> None:
    relay.add(command())
    database = Database(relay.url, StoreUnavailable)
    outbox = PostgresCommandOutbox(database, GRACE_S)
    use_case = RelayCommands(outbox, {"mqtt-command": relay.mqtt, "lorawan-command": relay.lorawan})
    with relay.outbox.turn() as turn:
        assert turn is not None
        assert use_case.run() == RelayReport()
    assert use_case.run().relayed == 1
    database.close()


def test_a_command_that_is_taken_back_meanwhile_is_not_relayed(relay: Relay) -> None:
    """It has the row in hand when the relay looks."""
    (one,) = relay.add(command())
    with psycopg.connect(relay.url) as other:
        other.execute(
            "UPDATE commands SET state = 'cancelled', cancelled_at = now(), ended_at = now()"
            " WHERE command_id = %s",
            (one.command_id,),
        )
        assert relay.use_case.run().idle, "another transaction has it in hand"
        other.commit()
    assert relay.use_case.run().idle
    assert relay.received(relay.mqtt) == []


def test_what_expired_at_the_things_stack_is_withdrawn_before_the_next_command(
    relay: Relay,
) -> None:
    first, second = relay.add(command("wall"), command("wall"))
    relay.run()
    assert relay.received(relay.lorawan) == [first]
    relay.change(first, "state = 'sent', sent_at = now(), transmitted_at = now()")
    relay.change(first, "issued_at = now() - interval '1 h', expires_at = now() - interval '1 ms'")
    relay.lorawan.refused_types = frozenset({"withdrawal"})
    relay.run()
    assert relay.received(relay.lorawan) == []
    assert relay.row(second)["relayed_at"] is None, "it would be withdrawn with the first"
    relay.lorawan.refused_types = frozenset()
    relay.run()
    withdrawal, command_ = relay.received(relay.lorawan)
    assert isinstance(withdrawal, Withdrawal)
    assert withdrawal.command_id == first.command_id
    assert withdrawal.lorawan.network_device_id == "wall-7"
    assert command_ == second
    assert relay.row(first)["withdrawn_at"] is not None
    relay.run()
    assert relay.received(relay.lorawan) == []


@pytest.mark.parametrize("state", ["acknowledged", "failed"])
def test_what_has_ended_is_not_withdrawn(relay: Relay, state: str) -> None:
    (one,) = relay.add(expired(device_id="wall"), attempts=1)
    relay.end(one, state)
    relay.run()
    assert relay.received(relay.lorawan) == []


def test_whoever_listens_hears_of_a_new_command_and_of_an_end(relay: Relay) -> None:
    relay.outbox.listen()
    assert not relay.outbox.wait(0.05)
    (one,) = relay.add(command())
    assert relay.outbox.wait(20)
    relay.outbox.listen()  # what was heard until now is forgotten
    assert not relay.outbox.wait(0.05)
    relay.run()
    relay.outbox.listen()
    relay.change(one, "state = 'sent', sent_at = now()")
    assert not relay.outbox.wait(0.05), "nothing is to be done"
    timer = threading.Timer(0.05, relay.end, [one])
    timer.start()
    assert relay.outbox.wait(20)
    timer.join()


def test_whoever_listens_still_hears_after_the_connection_was_lost(relay: Relay) -> None:
    relay.outbox.listen()
    relay.connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    def hears() -> bool:
        try:
            relay.outbox.listen()
            relay.add(command())
            return relay.outbox.wait(1)
        except StoreUnavailable:
            return False

    wait_until(hears, 20, "the news of a command")


def test_a_thousand_waiting_commands_cost_a_turn_little(relay: Relay) -> None:
    """Commands of one device that waits for its first, as for one that is away for a day."""
    relay.connection.execute(
        "INSERT INTO commands (command_id, device_id, protocol, command, params, issued_by,"
        " request_hash, issued_at, expires_at) SELECT gen_random_uuid(), 'tower', 'mqtt', 'reboot',"
        " '{}', 'test', '', now(), now() + interval '1 day' FROM generate_series(1, 5000)"
    )
    relay.run()
    assert len(relay.received(relay.mqtt)) == 1
    began = time.perf_counter()
    assert relay.use_case.run().idle
    assert time.perf_counter() - began < 0.5
