"""Whatever happens to the messages, and whenever the ledger is folded: the account balances."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import starmap
from typing import ClassVar, TypeAlias
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue import PostgresQueue, declare_queues
from plumbline.codecs.queue_message import encode_delivered, encode_event, encode_refusal
from plumbline.domain.delivery import DeliveredEvent, DeliveredReading, Refusal
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.ledger import Balance
from plumbline.errors import QueueUnavailable
from plumbline.topology import TOPOLOGY
from store_world import NOON, Batch, World, open_world, reading

ROWS = st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 1))
FRAMES = [uuid4() for _ in range(2)]
RECEPTIONS = st.tuples(st.integers(0, 1), st.integers(0, 3), st.booleans())
LONG_AGO = timedelta(days=20)


Owned: TypeAlias = DeliveredReading | DeliveredEvent | Refusal


class Ledger(RuleBasedStateMachine):
    """Messages wait in ``db1``; the store sees any of them, any number of times, in any order."""

    world: ClassVar[World]
    queue: ClassVar[PostgresQueue]

    @initialize()
    def empty(self) -> None:
        self.world.query(
            "TRUNCATE sensor_data, device_status, reading_duplicate, reading_conflict, quarantine,"
            " quarantine_part, device_event, settled_delivery, ledger_entry, ledger_total,"
            " ledger_folded, queue_message, queue_deduplication"
        )
        self.world.query("UPDATE ledger_summary SET messages = 0, interrupted = 0")
        self.batches: list[Batch] = []
        self.receipted: set[str] = set()
        self.deliveries: list[Owned] = []
        self.frames: set[tuple[type[Owned], UUID]] = set()
        self.first: dict[tuple[str, datetime], float] = {}
        self.outcomes: dict[UUID, str] = {}
        self.dead: set[UUID] = set()

    @rule(
        rows=st.lists(ROWS, max_size=6),
        refused=st.lists(st.sampled_from(["a", ""]), max_size=2),
        receptions=st.lists(RECEPTIONS, max_size=4),
    )
    def receive(
        self,
        rows: list[tuple[str, int, int]],
        refused: list[str],
        receptions: list[tuple[int, int, bool]],
    ) -> None:
        """Parsing sends a batch; each radio frame is of a device of its own."""
        batch = Batch()
        delivered = batch.deliver(
            *(
                reading(device, NOON + timedelta(seconds=second), tilt_angle_deg=float(angle))
                for device, second, angle in rows
            )
        )
        refusals = [part for device in refused for part in batch.refuse(b"?", device)]
        events: list[DeliveredEvent] = []
        for number, second, has_angle in receptions:
            device, at, frame = f"f{number}", NOON + timedelta(seconds=second), FRAMES[number]
            if has_angle:
                delivered += batch.deliver(reading(device, at), frame=frame)
            else:
                events += batch.deliver_events(DeviceEvent(device, at, "status"), frame=frame)
        self.queue.send([*starmap(encode_delivered, delivered), *map(encode_event, events)])
        self.queue.send([message for refusal in refusals for message in encode_refusal(refusal)])
        self.batches.append(batch)
        self.deliveries += [*delivered, *events, *refusals]

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        """A batch's receipt arrives, perhaps again."""
        batch = data.draw(st.sampled_from(self.batches))
        items = Counter(device_of(d) for d in self.of_batch(batch))
        self.world.persist(batch.receipt(items))
        self.receipted.add(batch.batch_id)

    @precondition(lambda self: self.deliveries)
    @rule(data=st.data())
    def persist(self, data: st.DataObject) -> None:
        """DB1 receives some messages, of any batch and age, and dies before it deletes them."""
        chosen = data.draw(st.lists(st.sampled_from(self.deliveries), max_size=8))
        outcome = self.world.persist(*chosen)
        before = len(self.outcomes)
        self.model(chosen)
        new = outcome.stored + outcome.duplicates + outcome.conflicts + outcome.quarantined
        assert new == len(self.outcomes) - before
        kept = [d for d in chosen if not isinstance(d, Refusal)]
        refused = {d.delivery_id for d in chosen if isinstance(d, Refusal)}
        assert outcome.repeated == len(kept) + len(refused) - new

    def model(self, chosen: list[Owned]) -> None:
        """Say what the store should do: the first received of a batch is the first stored."""
        for d in sorted(chosen, key=lambda d: d.delivery_id):
            if d.delivery_id in self.outcomes:
                continue
            if isinstance(d, Refusal):
                outcome = "quarantined"
            elif d.frame is not None:
                outcome = "duplicates" if (type(d), d.frame) in self.frames else "stored"
                self.frames.add((type(d), d.frame))
            else:
                assert isinstance(d, DeliveredReading)
                moment = (d.reading.device_id, d.reading.observed_at)
                angle = d.reading.tilt_angle_deg
                if moment not in self.first:
                    outcome = "stored"
                    self.first[moment] = angle
                else:
                    outcome = "duplicates" if self.first[moment] == angle else "conflicts"
            self.outcomes[d.delivery_id] = outcome
            self.dead.discard(d.delivery_id)

    @precondition(lambda self: self.outcomes)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Messages that have their outcome leave the queue."""
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.outcomes))))
        self.world.query(
            "DELETE FROM queue_message WHERE (attributes->>'delivery')::uuid = ANY (%s)", chosen
        )

    @rule(data=st.data())
    def bury(self, data: st.DataObject) -> None:
        """A message without outcome was received too often."""
        waiting = [d for d in self.deliveries if d.delivery_id not in self.outcomes]
        if waiting:
            delivery_id = data.draw(st.sampled_from(waiting)).delivery_id
            self.world.query(
                "UPDATE queue_message SET queue_id ="
                " (SELECT queue_id FROM queue WHERE name = 'db1-dlq')"
                " WHERE (attributes->>'delivery')::uuid = %s",
                delivery_id,
            )
            self.dead.add(delivery_id)

    @rule(later=st.sampled_from([timedelta(0), timedelta(minutes=2)]))
    def fold(self, later: timedelta) -> None:
        """Maintenance runs."""
        self.world.ledger.fold(datetime.now(UTC) + later)

    @rule()
    def fold_interrupted(self) -> None:
        """Maintenance runs so late that nothing is waited for; and then all receipts are late."""
        self.world.ledger.fold(datetime.now(UTC) + LONG_AGO)

    @invariant()
    def account_is_the_models(self) -> None:
        account = self.world.ledger.account()
        assert account.balanced, account.mismatches
        known = [d for d in self.deliveries if device_of(d) in account.devices]
        assert len(known) == len(self.deliveries)
        for device, balance in account.devices.items():
            expected = Counter(
                self.outcomes.get(
                    d.delivery_id, "dead_lettered" if d.delivery_id in self.dead else "in_flight"
                )
                for d in self.deliveries
                if device_of(d) == device
            )
            assert balance == Balance(received=expected.total(), **expected)

    def of_batch(self, batch: Batch) -> Iterator[Owned]:
        """Yield the batch's deliveries."""
        for delivery in self.deliveries:
            if delivery.delivery_id.hex.startswith(batch.batch_id):
                yield delivery


def device_of(delivery: Owned) -> str:
    if isinstance(delivery, DeliveredReading):
        return delivery.reading.device_id
    if isinstance(delivery, DeliveredEvent):
        return delivery.event.device_id
    return delivery.device_id


@pytest.fixture
def machine(database_url: str) -> Iterator[type[Ledger]]:
    with ExitStack() as stack:
        database = Database(database_url, QueueUnavailable)
        stack.callback(database.close)
        declare_queues(database, TOPOLOGY.queues)
        Ledger.world = stack.enter_context(open_world(database_url))
        Ledger.queue = PostgresQueue(database, "db1", fifo=False)
        yield Ledger


def test_the_account_always_balances(machine: type[Ledger]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
