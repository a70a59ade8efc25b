"""Properties 2.1 and 2.2: every command reaches its device, once, in order, and in time.

On a real broker and a real database; every step of the way dies between any two of its actions, the
broker is away or does not answer, queues refuse. A device keeps the contract: it acknowledges, and
does not do a command again whose id it knows.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chaos import Chaos, ChaosBroker, ChaosOutbox, ChaosQueue, ChaosStore, Killed
from command_device import CommandDevice
from command_world import add_command, add_device, command, row_of
from conftest import Broker
from e2e.conftest import wait_until
from plumbline.adapters.clock import SystemClock
from plumbline.adapters.mqtt.configuration import COMMAND_USER, INGEST_USER
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.mqtt.publisher import MqttPublisher
from plumbline.adapters.postgres.command_outbox import PostgresCommandOutbox
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.ledger import PostgresLedger
from plumbline.adapters.postgres.queue import PostgresQueue, declare_queues
from plumbline.adapters.postgres.reading_store import PostgresReadingStore
from plumbline.application.command_encoding import encode_for_mqtt
from plumbline.application.distribute import Distribute
from plumbline.application.intake import Intake
from plumbline.application.parse import Parse
from plumbline.application.persist import Persist
from plumbline.application.relay_commands import RelayCommands
from plumbline.application.send_command import SendCommands
from plumbline.domain.command import Command, Verb
from plumbline.errors import PlumblineError, QueueUnavailable, StoreUnavailable
from plumbline.ports import QueueMessage
from plumbline.settings import DEFAULT_TOPICS
from plumbline.topology import TOPOLOGY, Drain

DRAIN = Drain(batch_size=100, linger_s=0.2, quiet_s=0.02, margin_s=1.0)
GRACE_S = 600.0
# Long enough for every message to come back from every death; the rest is told by its events.
MANY_RECEIVES = 1000

FAILURES = {
    "after the queue accepted a command",
    "before the relay remembers",
    "after the relay has remembered",
    "before sending to mqtt-command",
    "after sending to mqtt-command",
    "mqtt-command refuses",
    "before publishing",
    "the broker is away",
    "after publishing, before the event",
    "published, without an acknowledgement",
    "before sending to distributing",
    "after sending to distributing",
    "distributing refuses",
    "before deleting from mqtt-command",
    "before deleting from distributing",
    "before sending to db1",
    "after sending to db1",
    "db1 refuses",
    "before the transaction",
    "after the transaction",
    "before deleting from db1",
}


class NoLock:
    def hold(self, function: str) -> AbstractContextManager[None]:
        del function
        return nullcontext()


@dataclass
class System:
    """Every step of a command's way and back, each of which may die."""

    url: str
    broker: Broker
    chaos: Chaos
    connection: psycopg.Connection[tuple[object, ...]]
    steps: list[Callable[[], None]] = field(default_factory=list)

    def turn(self) -> None:
        """Take every step once; a process that dies gives back what it had in hand."""
        for step in self.steps:
            with suppress(Killed, PlumblineError):
                step()
        # Nobody waits minutes for another attempt here.
        self.connection.execute("UPDATE commands SET next_attempt_at = now()")

    def open_commands(self) -> int:
        row = self.connection.execute(
            "SELECT count(*) FROM commands WHERE ended_at IS NULL"
        ).fetchone()
        assert row is not None
        assert isinstance(row[0], int)
        return row[0]

    def turn_until(self, condition: Callable[[], bool], what: str) -> None:
        """Take turns until the condition holds."""

        def look() -> bool:
            self.turn()
            return condition()

        wait_until(look, 60, what)

    def settle(self) -> None:
        """Take turns until every command is at its end."""
        self.turn_until(lambda: not self.open_commands(), "every command's end")


@contextmanager
def running(url: str, broker: Broker, chaos: Chaos) -> Iterator[System]:
    with ExitStack() as stack:
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        connection.execute(
            "TRUNCATE devices, commands, command_event, queue_message, queue_lease,"
            " queue_deduplication, ledger_entry, settled_delivery, quarantine, quarantine_part"
        )
        queues_of = Database(url, QueueUnavailable)
        database = Database(url, StoreUnavailable)
        stack.callback(queues_of.close)
        stack.callback(database.close)
        declare_queues(
            queues_of, [replace(q, max_receive_count=MANY_RECEIVES) for q in TOPOLOGY.queues]
        )
        mqtt, distributing, db1 = (
            ChaosQueue(PostgresQueue(queues_of, name, fifo=name != "db1"), chaos)
            for name in ("mqtt-command", "distributing", "db1")
        )
        publisher = MqttPublisher(broker.user_url(COMMAND_USER))
        stack.callback(publisher.close)
        outbox = ChaosOutbox(PostgresCommandOutbox(database, GRACE_S), chaos)
        relay = RelayCommands(outbox, {"mqtt-command": mqtt})
        send = SendCommands(
            ChaosBroker(publisher, chaos), distributing, SystemClock(), encode_for_mqtt, 5
        )
        ingest = MqttBroker(broker.user_url(INGEST_USER), DEFAULT_TOPICS.split(","))
        parse = Parse(ingest, Intake(distributing, SystemClock()), NoLock(), DRAIN)
        distribute = Distribute({"db1": db1})
        persist = Persist(ChaosStore(PostgresReadingStore(database), chaos))
        with suppress(Killed, PlumblineError):
            parse.run(lambda: 60.0)  # the session is there before the first device
        yield System(
            url,
            broker,
            chaos,
            connection,
            [
                lambda: _relay(relay),
                lambda: work_off(mqtt, lambda m: send.run(m, lambda: 30.0).failed),
                lambda: work_off(distributing, distribute.run),
                lambda: work_off(db1, lambda m: persist.run(m).failed),
                lambda: _ignore(parse.run(lambda: 60.0)),
            ],
        )


def _relay(relay: RelayCommands) -> None:
    while not relay.run().idle:
        pass


def _ignore(_: object) -> None:
    pass


def work_off(queue: ChaosQueue, run: Callable[[list[QueueMessage]], dict[str, str]]) -> None:
    """Do what an event source does; what was in hand at a death is visible again at once."""
    messages = queue.receive(100)
    handles = {message.message_id: message.receipt_handle for message in messages}
    try:
        if messages:
            failed = run(messages)
            queue.delete([handle for one, handle in handles.items() if one not in failed])
    finally:
        queue.change_visibility(list(handles.values()), 0)


@pytest.fixture
def struck() -> Iterator[set[str]]:
    """Yield where something went wrong in all examples; at the end it must be everywhere."""
    found: set[str] = set()
    yield found
    assert found >= FAILURES, f"never went wrong: {sorted(FAILURES - found)}"


@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rng=st.randoms(use_true_random=False), probability=st.sampled_from([0.1, 0.25, 0.4]))
def test_p2_1_p2_2_no_command_is_lost_doubled_or_overtaken_whatever_dies_between_any_two_steps(
    database_url: str,
    mosquitto: Broker,
    struck: set[str],
    rng: random.Random,
    probability: float,
) -> None:
    devices = ["tower", "mast"]
    passwords = mosquitto.add_devices(*devices)
    address = (mosquitto.host, mosquitto.port)
    chaos = Chaos(rng, probability)
    with ExitStack() as stack:
        system = stack.enter_context(running(database_url, mosquitto, chaos))
        for device in devices:
            add_device(system.connection, device)
        there = {
            device: stack.enter_context(
                CommandDevice(address, device, passwords[device], acknowledge=True)
            )
            for device in devices
        }
        # Two equal ones in a row: each is to be done.
        verbs = [Verb.REBOOT, Verb.REBOOT, Verb.ZERO, Verb.IDENTIFY]
        sent = [
            add_command(system.connection, command(device, verb))
            for verb in verbs
            for device in devices
        ]
        for _ in range(40):
            system.turn()
        chaos.probability = 0.0
        system.settle()
        struck |= set(chaos.struck)
        for device, connected in there.items():
            wanted = [str(c.command_id) for c in sent if c.device_id == device]
            assert connected.executed == wanted, "each once, in the order of their issue"
            assert not any(told.retained for told in connected.all())
        for one in sent:
            row = row_of(system.connection, one.command_id)
            assert row["state"] == "acknowledged", row
            assert row["issued_at"] <= row["acknowledged_at"]
        database = Database(database_url, StoreUnavailable)
        account = PostgresLedger(database).account()
        database.close()
        assert account.balanced, account.mismatches
        assert account.total.stored == len(sent)


def calm(database_url: str, mosquitto: Broker) -> AbstractContextManager[System]:
    return running(database_url, mosquitto, Chaos(random.Random(0), 0.0))


def issue(system: System, device: str, count: int = 1, life_s: float = 3600) -> list[Command]:
    add_device(system.connection, device)
    return [add_command(system.connection, command(device, life_s=life_s)) for _ in range(count)]


def test_p2_1_a_command_waits_for_a_device_that_has_never_been_there(
    database_url: str, mosquitto: Broker
) -> None:
    password = mosquitto.add_devices("tower")["tower"]
    with calm(database_url, mosquitto) as system:
        first, second = issue(system, "tower", 2)
        for _ in range(4):
            system.turn()
        row = row_of(system.connection, first.command_id)
        assert (row["state"], row["attempts"]) >= ("queued", 2)
        assert "nobody is subscribed" in row["detail"]
        assert row_of(system.connection, second.command_id)["attempts"] == 0
        address = (mosquitto.host, mosquitto.port)
        with CommandDevice(address, "tower", password, acknowledge=True) as device:
            system.settle()
        assert device.executed == [str(first.command_id), str(second.command_id)]


@pytest.mark.parametrize("session", [True, False], ids=["with a session", "without one"])
def test_p2_1_nothing_is_delivered_after_its_expiry(
    database_url: str, mosquitto: Broker, *, session: bool
) -> None:
    """Neither by the broker, which keeps it for a session, nor by us, who wait for one."""
    password = mosquitto.add_devices("tower")["tower"]
    address = (mosquitto.host, mosquitto.port)
    if session:
        with CommandDevice(address, "tower", password):
            pass
    with calm(database_url, mosquitto) as system:
        (late,) = issue(system, "tower", life_s=3)
        following = add_command(system.connection, command("tower"))
        for _ in range(3):
            system.turn()
        assert row_of(system.connection, late.command_id)["state"] == (
            "sent" if session else "queued"
        )
        over = late.expires_at.timestamp() + 0.1
        wait_until(lambda: time.time() > over, 20, "the expiry")
        with CommandDevice(address, "tower", password, acknowledge=True) as device:
            system.turn_until(lambda: bool(device.executed), "the following command")
            assert device.executed == [str(following.command_id)]
        state = row_of(system.connection, late.command_id)["state"]
        assert state == ("sent" if session else "expired"), "an answer may be under way"
        system.connection.execute(
            "UPDATE commands SET issued_at = issued_at - interval '1 h',"
            " expires_at = expires_at - interval '1 h'"
        )
        system.turn()
        assert row_of(system.connection, late.command_id)["state"] == "expired"


def test_p2_2_a_command_that_fails_is_overtaken_by_none_of_its_device(
    database_url: str, mosquitto: Broker
) -> None:
    """The broker refuses the first, and takes all that come later."""
    passwords = mosquitto.add_devices("tower", "mast")
    address = (mosquitto.host, mosquitto.port)
    with ExitStack() as stack:
        system = stack.enter_context(calm(database_url, mosquitto))
        of_tower = issue(system, "tower", 3)
        of_mast = issue(system, "mast", 3)
        there = {
            name: stack.enter_context(
                CommandDevice(address, name, passwords[name], acknowledge=True)
            )
            for name in passwords
        }
        system.connection.execute(
            "UPDATE commands SET relayed_at = now(), attempts = 1 WHERE command_id = %s",
            (of_tower[0].command_id,),
        )  # it is lost in a queue, and nobody says so
        system.turn_until(lambda: len(there["mast"].executed) == 3, "the other device")
        assert there["mast"].executed == [str(one.command_id) for one in of_mast]
        assert there["tower"].executed == []
        system.connection.execute("UPDATE commands SET relayed_at = NULL WHERE ended_at IS NULL")
        system.settle()
        assert there["tower"].executed == [str(one.command_id) for one in of_tower]
