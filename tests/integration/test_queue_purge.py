"""Discarding dead letters keeps the ledger balanced: each delivery gets one outcome, never two."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
from msgspec import structs

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue import PostgresQueue, declare_queues
from plumbline.adapters.postgres.queue_admin import PostgresQueueAdmin
from plumbline.codecs.queue_message import (
    decode,
    encode_delivered,
    encode_event,
    encode_receipt,
    encode_refusal,
    forward,
)
from plumbline.domain.delivery import DeliveredReading, Receipt
from plumbline.domain.device_event import DeviceEvent
from plumbline.errors import NotFound, QueueUnavailable
from plumbline.ports import OutgoingMessage, QueueMessage
from plumbline.topology import TOPOLOGY
from store_world import NOON, Batch, World, open_world, reading

DLQ = "distributing-dlq"


@dataclass(frozen=True, slots=True)
class Site:
    """The two queues, what an operator has for them, and the store behind them."""

    distributing: PostgresQueue
    db1: PostgresQueue
    admin: PostgresQueueAdmin
    world: World

    def bury(self, messages: Sequence[OutgoingMessage]) -> None:
        """Let messages become dead letters of ``distributing``."""
        assert self.distributing.send(messages) == []
        received = self.distributing.receive(len(messages))
        self.distributing.change_visibility([m.receipt_handle for m in received], 0)
        assert self.distributing.receive(1) == []

    def dead(self) -> list[QueueMessage]:
        """Return the dead letters."""
        return self.admin.peek(DLQ, 100)

    def discarded(self) -> int:
        """Return the ledger's count, after checking that it is balanced."""
        account = self.world.ledger.account()
        assert account.balanced, account.mismatches
        return account.total.discarded


@pytest.fixture
def site(database_url: str) -> Iterator[Site]:
    """Yield a site whose messages are dead letters after one receive."""
    with ExitStack() as stack:
        world = stack.enter_context(open_world(database_url))
        database = Database(database_url, QueueUnavailable)
        stack.callback(database.close)
        declare_queues(database, [replace(q, max_receive_count=1) for q in TOPOLOGY.queues])
        yield Site(
            PostgresQueue(database, "distributing", fifo=True),
            PostgresQueue(database, "db1", fifo=False),
            PostgresQueueAdmin(database),
            world,
        )


def batch_of_three() -> tuple[list[DeliveredReading], Receipt]:
    batch = Batch()
    readings = batch.deliver(reading("a"), reading("b"), reading("b", NOON.replace(minute=1)))
    return readings, batch.receipt({"a": 1, "b": 2})


def test_purged_readings_are_discarded_in_the_ledger(site: Site) -> None:
    readings, receipt = batch_of_three()
    site.world.persist(receipt)
    site.bury([encode_delivered(*r) for r in readings])
    assert site.discarded() == 0
    assert site.admin.purge(DLQ, message_ids=[site.dead()[0].message_id]) == 1
    assert site.discarded() == 1
    assert site.admin.purge(DLQ) == 2
    assert site.discarded() == 3
    assert site.world.outcomes() == {"a": {"discarded": 1}, "b": {"discarded": 2}}


def test_a_delivery_with_an_outcome_is_not_discarded_too(site: Site) -> None:
    """Each kind of outcome: stored, duplicate, conflict, quarantined; of events, too."""
    batch = Batch()
    events = batch.deliver_events(*[DeviceEvent("dev-1", NOON, "start")] * 2, frame=uuid4())
    readings = batch.deliver(reading(), reading(), reading(tilt_angle_deg=2.0))
    (refusal,) = batch.refuse()
    site.world.persist(*readings[:1])
    site.world.persist(*readings[1:], refusal, *events, batch.receipt({"dev-1": 6}))
    site.bury([encode_delivered(*r) for r in readings] + list(encode_refusal(refusal)))
    site.bury([encode_event(event) for event in events])
    assert site.admin.purge(DLQ) == 6
    assert site.discarded() == 0


def test_a_discarded_event_is_accounted_for_and_never_stored_after_all(site: Site) -> None:
    batch = Batch()
    (event,) = batch.deliver_events(DeviceEvent("dev-1", NOON, "start"), frame=uuid4())
    site.world.persist(batch.receipt({"dev-1": 1}))
    site.bury([encode_event(event)])
    assert site.admin.purge(DLQ) == 1
    assert site.discarded() == 1
    assert site.world.persist(event).repeated == 1
    assert site.discarded() == 1


def test_a_delivery_that_is_in_another_queue_is_left_to_that(site: Site) -> None:
    """Forwarded, but the deletion failed until the message was a dead letter."""
    readings, receipt = batch_of_three()
    site.world.persist(receipt)
    site.bury([encode_delivered(*r) for r in readings])
    site.db1.send([forward(site.dead()[0])])
    assert site.admin.purge(DLQ) == 3
    assert site.discarded() == 2
    (message,) = site.db1.receive(1)
    content = decode(message)
    assert isinstance(content, DeliveredReading)
    assert site.world.persist(content).stored == 1
    assert site.discarded() == 2


def test_a_refusal_in_parts_is_discarded_with_its_last_part(site: Site) -> None:
    batch = Batch()
    parts = batch.refuse(b"x" * 40, parts=2)
    site.world.persist(batch.receipt({"dev-1": 1}))
    site.bury([m for part in parts for m in numbered(part.part, encode_refusal(part))])
    assert site.admin.purge(DLQ, message_ids=[site.dead()[0].message_id]) == 1
    assert site.world.outcomes() == {}
    assert site.admin.purge(DLQ) == 1
    assert site.discarded() == 1


def numbered(part: int, messages: Iterator[OutgoingMessage]) -> Iterator[OutgoingMessage]:
    """Give a part cut by the test the deduplication id it would have had."""
    for message in messages:
        yield structs.replace(message, deduplication_id=f"{message.deduplication_id}.{part}")


def test_a_purged_receipt_is_entered(site: Site) -> None:
    readings, receipt = batch_of_three()
    site.bury([encode_delivered(*readings[0]), encode_receipt(receipt)])
    assert site.admin.purge(DLQ) == 2
    assert site.world.persist(*readings[1:]).stored == 2
    assert site.discarded() == 1
    assert site.world.ledger.account().total.received == 3


def test_a_message_that_cannot_be_read_can_be_purged(site: Site) -> None:
    readings, receipt = batch_of_three()
    site.world.persist(receipt, *readings[1:])
    broken = structs.replace(encode_delivered(*readings[0]), body="not JSON")
    junk = OutgoingMessage("junk", {}, "x", "x")
    nobodys = OutgoingMessage("junk", {"type": "?", "delivery": "?"}, "x", "y")
    site.bury([broken, junk, nobodys])
    assert site.admin.purge(DLQ) == 3
    assert site.discarded() == 1


def test_a_queue_that_takes_no_dead_letters_is_not_touched(site: Site) -> None:
    for name in ("distributing", "nowhere"):
        with pytest.raises(NotFound, match=name):
            site.admin.purge(name)
        with pytest.raises(NotFound, match=name):
            site.admin.redrive(name)
    with pytest.raises(NotFound, match="nowhere"):
        site.admin.peek("nowhere", 1)


def test_what_somebody_has_in_flight_is_neither_moved_nor_purged(site: Site) -> None:
    site.bury([OutgoingMessage("1", {}, "A", "1"), OutgoingMessage("2", {}, "B", "2")])
    with ExitStack() as stack:
        database = Database(site.world.url, QueueUnavailable)
        stack.callback(database.close)
        dead_letters = PostgresQueue(database, DLQ, fifo=True)
        (held,) = dead_letters.receive(1)
        assert site.admin.redrive(DLQ) == 1
        assert site.admin.purge(DLQ) == 0
        assert dead_letters.delete([held.receipt_handle]) == []
    assert [message.body for message in site.distributing.receive(10)] == ["2"]
