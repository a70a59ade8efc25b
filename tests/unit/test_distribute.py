"""Routing by type, and the order of a group when a message fails."""

from datetime import timedelta
from uuid import uuid4

import pytest

from fake_broker import RECEIVED_AT, ScriptedQueue, queue_messages
from plumbline.application.distribute import Distribute
from plumbline.codecs.queue_message import encode_delivered, encode_receipt
from plumbline.domain.delivery import Receipt
from plumbline.domain.reading import Reading
from plumbline.errors import QueueUnavailable
from plumbline.ports import OutgoingMessage


def reading(device: str, second: int) -> OutgoingMessage:
    observed_at = RECEIVED_AT + timedelta(seconds=second)
    return encode_delivered(Reading(device, observed_at, 1.0), uuid4(), RECEIVED_AT)


def test_every_type_goes_to_its_queue_unchanged() -> None:
    db1 = ScriptedQueue()
    outgoing = [reading("a", 1), encode_receipt(Receipt("0" * 24, RECEIVED_AT, 1, {"a": 1}))]
    assert Distribute({"db1": db1}).run(queue_messages(outgoing)) == {}
    assert [message.body for message in db1.sent] == [message.body for message in outgoing]
    assert [dict(m.attributes) for m in db1.sent] == [dict(m.attributes) for m in outgoing]


@pytest.mark.parametrize("kind", ["reading", "device_event", "refusal", "receipt", "command_event"])
def test_each_type_that_there_is_goes_to_db1(kind: str) -> None:
    db1, other = ScriptedQueue(), ScriptedQueue()
    [message] = queue_messages([OutgoingMessage("{}", {"type": kind, "delivery": str(uuid4())})])
    assert Distribute({"db1": db1, "other": other}).run([message, message]) == {}
    assert [sent.attributes["type"] for sent in db1.sent] == [kind, kind]
    assert other.sent == []


def test_a_failed_message_without_a_group_holds_up_no_other() -> None:
    db1 = ScriptedQueue(lambda message: message.body == "refused")
    attributes = {"type": "receipt"}
    outgoing = [
        OutgoingMessage("?", {"type": "riddle"}),
        OutgoingMessage("refused", attributes),
        OutgoingMessage("{}", attributes),
    ]
    failed = Distribute({"db1": db1}).run(queue_messages(outgoing))
    assert list(failed) == ["m0", "m1"]
    assert failed["m1"].count(": ") == 1
    assert [message.body for message in db1.sent] == ["{}"]


def test_record_3_of_10_fails_with_the_later_ones_of_its_group_and_no_other() -> None:
    db1 = ScriptedQueue()
    outgoing = [reading("ab"[n % 2], n) for n in range(10)]
    poison = OutgoingMessage("?", {"type": "riddle"}, group_id="a", deduplication_id="x")
    outgoing[2] = poison
    failed = Distribute({"db1": db1}).run(queue_messages(outgoing))
    behind = "behind a failed message of its group"
    unknown = "unknown message type 'riddle'"
    assert failed == {"m2": unknown, "m4": behind, "m6": behind, "m8": behind}
    assert len(db1.sent) == 6


def test_what_the_next_queue_refuses_comes_again_with_the_later_ones_of_its_group() -> None:
    outgoing = [reading("a", 1), reading("b", 1), reading("a", 2)]
    db1 = ScriptedQueue(lambda message: message.body == outgoing[0].body)
    assert list(Distribute({"db1": db1}).run(queue_messages(outgoing))) == ["m0", "m2"]


def test_a_message_from_elsewhere_gets_an_identity_that_stays() -> None:
    db1 = ScriptedQueue()
    plain = OutgoingMessage(reading("a", 1).body, {}, group_id="a", deduplication_id="x")
    for _ in range(2):
        Distribute({"db1": db1}).run(queue_messages([plain]))
    first, second = db1.sent
    assert first.attributes == second.attributes
    assert first.attributes["delivery"]


def test_a_queue_that_is_down_fails_the_whole_batch() -> None:
    db1 = ScriptedQueue()
    db1.unavailable = True
    with pytest.raises(QueueUnavailable):
        Distribute({"db1": db1}).run(queue_messages([reading("a", 1)]))
