"""The account of messages on their way, and its folding."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import LiteralString
from uuid import uuid4

import pytest

from e2e.conftest import wait_until
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue import PostgresQueue, declare_queues
from plumbline.codecs.queue_message import (
    decode,
    encode_command_event,
    encode_delivered,
    encode_event,
    encode_receipt,
    encode_refusal,
    forward,
)
from plumbline.domain.command_event import CommandEvent
from plumbline.domain.delivery import DeliveredEvent, Receipt, Refusal
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.ledger import Balance
from plumbline.errors import QueueUnavailable
from plumbline.ports import OutgoingMessage
from plumbline.topology import TOPOLOGY
from store_world import NOON, Batch, Delivery, World, open_world, reading

_WAITS_FOR_LOCK: LiteralString = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def now() -> datetime:
    return datetime.now(UTC)


def minutes_later() -> datetime:
    """The ledger's rows carry the database's time, so it is asked for anew each time."""
    return now() + timedelta(minutes=5)


@dataclass(slots=True)
class Pipeline:
    """The queues as the functions use them, step by step."""

    world: World
    distributing: PostgresQueue
    db1: PostgresQueue
    dead: PostgresQueue
    at_once: int = 1000

    def send(self, *deliveries: Delivery) -> None:
        """Do what parsing does."""
        assert self.distributing.send([m for d in deliveries for m in encoded(d)]) == []

    def distribute(self, *, delete: bool = True) -> None:
        """Do what distributing does; without ``delete`` as if it had died before."""
        received = self.distributing.receive(self.at_once)
        assert self.db1.send([forward(message) for message in received]) == []
        if delete:
            self.distributing.delete([message.receipt_handle for message in received])

    def persist(self, *, delete: bool = True) -> None:
        """Do what DB1 does; without ``delete`` as if it had died before."""
        received = self.db1.receive(self.at_once)
        self.world.persist(*map(decode, received))
        if delete:
            self.db1.delete([message.receipt_handle for message in received])

    def balance(self) -> Balance:
        """Return the account's total, which must be balanced."""
        account = self.world.ledger.account()
        assert account.balanced, account.mismatches
        return account.total


def encoded(delivery: Delivery) -> list[OutgoingMessage]:
    if isinstance(delivery, Receipt):
        return [encode_receipt(delivery)]
    if isinstance(delivery, Refusal):
        # As if it had been cut already.
        (message,) = encode_refusal(delivery)
        return [message]
    if isinstance(delivery, CommandEvent):
        return [encode_command_event(delivery)]
    if isinstance(delivery, DeliveredEvent):
        return [encode_event(delivery)]
    return [encode_delivered(*delivery)]


@pytest.fixture(params=[None, 1], ids=["rows", "blocks"])
def pipeline(database_url: str, request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    """Yield the pipeline with either way of keeping messages."""
    with ExitStack() as stack:
        world = stack.enter_context(open_world(database_url))
        database = Database(database_url, QueueUnavailable)
        stack.callback(database.close)
        declare_queues(database, TOPOLOGY.queues)
        yield Pipeline(
            world,
            PostgresQueue(database, "distributing", fifo=True, block_from=request.param),
            PostgresQueue(database, "db1", fifo=False, block_from=request.param),
            PostgresQueue(database, "db1-dlq", fifo=False),
        )


def test_a_message_is_in_one_place_at_every_step(pipeline: Pipeline) -> None:
    batch, frame = Batch(), uuid4()
    start = DeviceEvent("c", NOON, "start")
    deliveries: list[Delivery] = [
        *batch.deliver(reading("a"), reading("b"), reading("b"), reading("a", tilt_angle_deg=2.0)),
        *batch.refuse(b"?", "a"),
        *batch.refuse(b"!", ""),
        *batch.deliver_events(start, start, frame=frame),
        *batch.deliver(reading("c", at=NOON + timedelta(seconds=2)), reading("c"), frame=frame),
    ]
    receipt = batch.receipt({"a": 3, "b": 2, "": 1, "c": 4}, messages=9)
    in_flight = Balance(received=10, in_flight=10)
    done = Balance(received=10, stored=4, duplicates=3, conflicts=1, quarantined=2)

    assert pipeline.balance() == Balance()
    pipeline.send(*deliveries)
    assert pipeline.balance() == in_flight
    assert pipeline.world.ledger.account().interrupted_batches == 1
    pipeline.send(receipt)
    assert pipeline.world.ledger.account().interrupted_batches == 0
    assert pipeline.balance() == in_flight
    pipeline.distribute(delete=False)
    assert pipeline.balance() == in_flight
    assert pipeline.world.ledger.account("b").total == Balance(received=2, in_flight=2)
    pipeline.persist(delete=False)
    assert pipeline.balance() == done
    assert pipeline.world.ledger.account().messages == 9
    pipeline.world.query("DELETE FROM queue_lease")
    pipeline.distribute()
    pipeline.persist()
    assert pipeline.balance() == done


def test_a_batch_half_way_is_in_both_queues(pipeline: Pipeline) -> None:
    batch = Batch()
    pipeline.send(*batch.deliver(reading("a")))
    pipeline.distribute()
    pipeline.send(*batch.deliver(reading("b")), batch.receipt({"a": 1, "b": 1}))
    assert pipeline.balance() == Balance(received=2, in_flight=2)
    pipeline.persist()
    assert pipeline.balance() == Balance(received=2, stored=1, in_flight=1)
    pipeline.distribute()
    pipeline.persist()
    assert pipeline.balance() == Balance(received=2, stored=2)


def test_a_lost_message_is_a_mismatch(pipeline: Pipeline) -> None:
    batch = Batch()
    pipeline.send(*batch.deliver(reading("a"), reading("b")), batch.receipt({"a": 1, "b": 1}))
    pipeline.at_once = 1  # each message in a row or block of its own
    for _ in range(3):
        pipeline.distribute()
    pipeline.world.query("DELETE FROM queue_message WHERE body LIKE '%%\"a\"%%tilt_angle%%'")
    pipeline.world.query("DELETE FROM queue_block WHERE content LIKE '%%\"a\\\\\"%%tilt_angle%%'")
    pipeline.at_once = 1000
    pipeline.persist()
    account = pipeline.world.ledger.account()
    assert [(m.batch_id, m.device_id, m.received, m.accounted) for m in account.mismatches] == [
        (batch.batch_id, "a", 1, 0)
    ]
    assert pipeline.world.ledger.account("b").balanced
    assert pipeline.world.ledger.fold(minutes_later()) == 0


def test_a_dead_letter_is_accounted_for(pipeline: Pipeline) -> None:
    batch = Batch()
    pipeline.dead.send([m for d in batch.deliver(reading("a")) for m in encoded(d)])
    pipeline.send(*batch.deliver(reading("b")), batch.receipt({"a": 1, "b": 1}))
    assert pipeline.balance() == Balance(received=2, in_flight=1, dead_lettered=1)


def test_a_dead_letter_with_an_outcome_or_a_live_copy_counts_there(pipeline: Pipeline) -> None:
    batch = Batch()
    stored, live = batch.deliver(reading("a"), reading("b"))
    pipeline.world.persist(stored)
    pipeline.dead.send([*encoded(stored), *encoded(live)])
    pipeline.send(live, batch.receipt({"a": 1, "b": 1}))
    assert pipeline.balance() == Balance(received=2, stored=1, in_flight=1)


def test_a_large_refusal_in_flight_is_one_delivery(pipeline: Pipeline) -> None:
    batch = Batch()
    (whole,) = batch.refuse(b"x" * 400_000, "a")
    pipeline.distributing.send([*encode_refusal(whole)])
    pipeline.send(batch.receipt({"a": 1}))
    assert pipeline.balance() == Balance(received=1, in_flight=1)
    first = decode(pipeline.distributing.receive(1)[0])
    pipeline.world.persist(first)
    assert pipeline.balance() == Balance(received=1, quarantined=1)


def test_messages_that_nobody_received_from_a_broker_are_accounted_for(pipeline: Pipeline) -> None:
    """Sent to the queue by somebody else: without identity, unreadable, of an unknown type."""
    body = '{"device_id":"a","timestamp":"2026-01-01T00:00:00Z","tilt_angle":1}'
    strangers = [
        OutgoingMessage(body, group_id="a", deduplication_id="1"),
        OutgoingMessage("not JSON", group_id="b", deduplication_id="2"),
        OutgoingMessage(body, {"type": "unheard"}, group_id="!", deduplication_id="3"),
        OutgoingMessage(body, {"delivery": "no UUID"}, group_id="c", deduplication_id="4"),
    ]
    assert pipeline.distributing.send(strangers) == []
    account = pipeline.world.ledger.account()
    assert account.balanced
    assert {d: b.in_flight for d, b in account.devices.items()} == {"": 1, "a": 1, "b": 1, "c": 1}


def test_a_stranger_keeps_its_identity_from_queue_to_row(pipeline: Pipeline) -> None:
    body = f'{{"device_id":"a","timestamp":"{NOON.isoformat()}","tilt_angle":1}}'
    pipeline.distributing.send([OutgoingMessage(body, group_id="a", deduplication_id="1")])
    pipeline.distribute(delete=False)
    assert pipeline.balance() == Balance(received=1, in_flight=1)
    pipeline.persist(delete=False)
    assert pipeline.balance() == Balance(received=1, stored=1)


def test_folding_keeps_the_account(pipeline: Pipeline) -> None:
    world = pipeline.world
    complete, partial, interrupted = Batch(), Batch(), Batch()
    done = complete.deliver(reading("a"), reading("a"), reading("b"))
    receipt = complete.receipt({"a": 2, "b": 1}, messages=2)
    world.persist(*done, receipt)
    world.persist(*partial.deliver(reading("c")), partial.receipt({"c": 2}))
    partial_rest = partial.deliver(reading("c", tilt_angle_deg=5.0))
    pipeline.send(*partial_rest)
    world.persist(*interrupted.deliver(reading("d")))
    before = world.ledger.account()
    assert before.balanced
    assert (before.messages, before.interrupted_batches) == (4, 1)

    assert world.ledger.fold(now()) == 0
    assert world.ledger.fold(minutes_later()) == 1
    assert world.ledger.account() == before
    assert world.ledger.fold(minutes_later()) == 0
    assert world.ledger.fold(now() + timedelta(days=14)) == 0
    assert world.ledger.fold(now() + timedelta(days=16)) == 1
    assert world.ledger.account() == before
    world.persist(*partial_rest)
    assert world.ledger.fold(minutes_later()) == 1
    assert world.value("SELECT count(*) FROM ledger_entry") == 0
    after = world.ledger.account()
    assert after.balanced
    assert (after.messages, after.interrupted_batches) == (4, 1)
    assert after.total == Balance(received=6, stored=4, duplicates=1, conflicts=1)


def test_every_fold_adds_to_the_totals(pipeline: Pipeline) -> None:
    world = pipeline.world
    expected = Balance()
    for number in range(1, 4):
        batch, at = Batch(), NOON + timedelta(seconds=number)
        world.persist(
            *batch.deliver(
                reading("a", at=at),
                reading("a", at=at),
                reading("a", at=at, tilt_angle_deg=7.0),
            ),
            *batch.refuse(b"?", "a"),
            batch.receipt({"a": 4}),
        )
        assert world.ledger.fold(minutes_later()) == 1
        expected = Balance(
            received=4 * number,
            stored=number,
            duplicates=number,
            conflicts=number,
            quarantined=number,
        )
        account = world.ledger.account()
        assert account.balanced
        assert not account.approximate
        assert account.total == expected
        assert account.devices == {"a": expected}


def test_batches_whose_entries_alternate_are_each_one(pipeline: Pipeline) -> None:
    world = pipeline.world
    batches = [Batch(), Batch()]
    for number in range(3):
        for name, batch in zip("ab", batches, strict=True):
            at = NOON + timedelta(seconds=number)
            world.persist(*batch.deliver(reading(name, at=at)))
    for name, batch in zip("ab", batches, strict=True):
        world.persist(batch.receipt({name: 3}))
    assert world.ledger.account().balanced
    assert world.ledger.fold(minutes_later()) == 2


@pytest.mark.parametrize(
    ("receipted", "age"), [(True, timedelta(minutes=1)), (False, timedelta(days=15))]
)
def test_a_batch_is_folded_when_its_newest_entry_is_old_enough(
    pipeline: Pipeline, age: timedelta, *, receipted: bool
) -> None:
    world, batch = pipeline.world, Batch()
    world.persist(*batch.deliver(reading("a")))
    world.persist(*batch.deliver(reading("b")))
    if receipted:
        world.persist(batch.receipt({"a": 1, "b": 1}))
    world.query("UPDATE ledger_entry SET recorded_at = %s - interval '1 hour'", NOON)
    world.query(
        "UPDATE ledger_entry SET recorded_at = %s WHERE id = (SELECT min(id) FROM ledger_entry)",
        NOON,
    )
    assert world.ledger.fold(NOON + age - timedelta(microseconds=1)) == 0
    assert world.ledger.fold(NOON + age) == 1


def test_one_folds_at_a_time(pipeline: Pipeline) -> None:
    """Two that read the same entries would add them twice."""
    world, batch = pipeline.world, Batch()
    world.persist(*batch.deliver(reading("a")), batch.receipt({"a": 1}))
    with open_world(world.url) as other, ThreadPoolExecutor(1) as pool:
        with world.database.connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('ledger_fold'))")
            folding = pool.submit(other.ledger.fold, minutes_later())
            wait_until(lambda: bool(world.value(_WAITS_FOR_LOCK)), 10, "the fold to wait")
        assert folding.result(10) == 1


def test_what_comes_again_after_folding_changes_nothing(pipeline: Pipeline) -> None:
    world = pipeline.world
    batch = Batch()
    deliveries: list[Delivery] = [
        *batch.deliver(reading("a"), reading("a")),
        *batch.refuse(b"?", "a"),
        batch.receipt({"a": 3}),
    ]
    world.persist(*deliveries)
    world.ledger.fold(minutes_later())
    before = world.ledger.account()
    world.persist(*deliveries)
    assert world.ledger.account() == before
    assert world.value("SELECT count(*) FROM ledger_entry") == 0


def test_a_receipt_that_slipped_in_while_its_batch_was_folded_is_ignored(
    pipeline: Pipeline,
) -> None:
    world = pipeline.world
    batch = Batch()
    world.persist(*batch.deliver(reading("a")), batch.receipt({"a": 1}))
    world.ledger.fold(minutes_later())
    before = world.ledger.account()
    world.query(
        "INSERT INTO ledger_entry (batch_id, kind, messages, counts)"
        " VALUES (%s, 'receipt', 1, '{\"a\": 1}')",
        batch.batch_id,
    )
    assert world.ledger.account() == before
    world.ledger.fold(minutes_later())
    assert world.ledger.account() == before
    assert world.value("SELECT count(*) FROM ledger_entry") == 0


def test_what_comes_late_of_an_interrupted_batch_is_folded_too(pipeline: Pipeline) -> None:
    world = pipeline.world
    batch = Batch()
    world.persist(*batch.deliver(reading("a")))
    assert world.ledger.fold(now() + timedelta(days=16)) == 1
    world.persist(*batch.deliver(reading("a")), batch.receipt({"a": 2}))
    late = world.ledger.account()
    assert late.balanced
    assert late.total == Balance(received=2, stored=1, duplicates=1)
    assert world.ledger.fold(now() + timedelta(days=16)) == 1
    assert world.ledger.account() == late
    assert late.interrupted_batches == 1
    assert world.value("SELECT count(*) FROM ledger_entry") == 0


def test_the_account_is_of_one_moment(pipeline: Pipeline) -> None:
    """While messages move on all the time, no account sees one of them twice or not at all."""
    pipeline.at_once = 7
    batch = Batch()
    rows = [reading(f"dev-{n % 10}", NOON + timedelta(seconds=n)) for n in range(400)]
    pipeline.send(*batch.deliver(*rows), batch.receipt({f"dev-{n}": 40 for n in range(10)}))

    def work() -> None:
        while pipeline.world.value("SELECT count(*) FROM queue_content"):
            pipeline.distribute()
            pipeline.persist()

    seen = set()
    with open_world(pipeline.world.url) as observer, ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        while not working.done():
            account = observer.ledger.account()
            assert account.balanced, account.mismatches
            assert account.total.received == 400
            seen.add(account.total.stored)
        working.result()
    assert len(seen) > 3
    assert pipeline.balance() == Balance(received=400, stored=400)
