"""The writer: one transaction a batch, and a bad message fails alone."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from fake_broker import RECEIVED_AT, queue_messages
from plumbline.application.persist import Persist
from plumbline.codecs.queue_message import (
    encode_command_event,
    encode_delivered,
    encode_event,
    encode_receipt,
    encode_refusal,
)
from plumbline.domain.command_event import CommandEvent, CommandEventKind
from plumbline.domain.delivery import DeliveredEvent, DeliveredReading, Receipt, Refusal
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading
from plumbline.domain.reason import Reason
from plumbline.errors import StoreUnavailable
from plumbline.ports import OutgoingMessage, PersistBatch, PersistOutcome

READING = DeliveredReading(Reading("a", RECEIVED_AT, 1.5), uuid4(), RECEIVED_AT)
EVENT = DeliveredEvent(DeviceEvent("a", RECEIVED_AT, "start"), uuid4(), RECEIVED_AT, uuid4())
REFUSAL = Refusal(uuid4(), "a", "tilt/a/telemetry", b"?", Reason.INVALID_JSON, "", RECEIVED_AT)
RECEIPT = Receipt("0123456789abcdef01234567", RECEIVED_AT, 2, {"a": 3})
COMMAND_EVENT = CommandEvent(uuid4(), "a", CommandEventKind.SENT, RECEIVED_AT, attempt=1)
POISON = OutgoingMessage("?", {"type": "riddle"}, "a", "x")


@dataclass
class RecordingStore:
    """Rejects what it is told to, and remembers the batches."""

    rejects: dict[UUID, str] = field(default_factory=dict)
    batches: list[PersistBatch] = field(default_factory=list)
    unavailable: bool = False

    def persist(self, batch: PersistBatch) -> PersistOutcome:
        if self.unavailable:
            raise StoreUnavailable
        self.batches.append(batch)
        return PersistOutcome(stored=1, rejected=self.rejects)


def everything() -> list[OutgoingMessage]:
    return [
        encode_receipt(RECEIPT),
        encode_delivered(*READING),
        encode_event(EVENT),
        *encode_refusal(REFUSAL),
        encode_command_event(COMMAND_EVENT),
    ]


def test_one_batch_holds_all_that_came_by_its_kind() -> None:
    store = RecordingStore()
    report = Persist(store).run(queue_messages(everything()))
    assert store.batches == [
        PersistBatch([READING], [REFUSAL], [RECEIPT], [EVENT], [COMMAND_EVENT])
    ]
    assert (report.outcome.stored, report.failed) == (1, {})


@pytest.mark.parametrize("place", range(6))
def test_a_message_that_cannot_be_read_fails_alone(place: int) -> None:
    outgoing = everything()
    outgoing.insert(place, POISON)
    store = RecordingStore()
    report = Persist(store).run(queue_messages(outgoing))
    assert report.failed == {f"m{place}": "unknown message type 'riddle'"}
    [batch] = store.batches
    kept = [*batch.readings, *batch.events, *batch.refusals, *batch.receipts, *batch.command_events]
    assert len(kept) == 5


def test_what_the_store_rejects_fails_under_its_own_message() -> None:
    store = RecordingStore(
        {
            READING.delivery_id: "r",
            EVENT.delivery_id: "e",
            REFUSAL.delivery_id: "q",
            COMMAND_EVENT.delivery_id: "c",
        }
    )
    report = Persist(store).run(queue_messages(everything()))
    assert report.failed == {"m1": "r", "m2": "e", "m3": "q", "m4": "c"}


def test_a_store_that_is_away_fails_the_whole_batch() -> None:
    with pytest.raises(StoreUnavailable):
        Persist(RecordingStore(unavailable=True)).run(queue_messages(everything()))
