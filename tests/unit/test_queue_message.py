"""What travels on the queues comes out as it went in; anything else is an invalid message."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice, starmap
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from fake_broker import RECEIVED_AT, queue_messages
from plumbline.adapters.sending import screen
from plumbline.codecs.queue_message import (
    Content,
    decode,
    encode_command_event,
    encode_delivered,
    encode_event,
    encode_receipt,
    encode_refusal,
    forward,
    is_accounted,
)
from plumbline.domain.command_event import Arrival, CommandEvent, CommandEventKind, Sender
from plumbline.domain.delivery import (
    DeliveredEvent,
    DeliveredReading,
    Receipt,
    Refusal,
    batch_of,
    delivery_id,
    written_ids,
)
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading, Status, format_time
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidMessage
from plumbline.ports import OutgoingMessage

RECEIPT = Receipt("0123456789abcdef01234567", RECEIVED_AT, 2, {"a": 1, "": 1})
REFUSAL = Refusal(uuid4(), "a", "tilt/a/telemetry", b"\0\xff", Reason.NOT_UTF8, "", RECEIVED_AT)


def decoded(outgoing: Iterable[OutgoingMessage]) -> list[Content]:
    return [decode(message) for message in queue_messages(outgoing)]


def test_each_kind_comes_out_as_it_went_in() -> None:
    delivered = DeliveredReading(Reading("a", RECEIVED_AT, 1.5), uuid4(), RECEIVED_AT)
    framed = delivered._replace(frame=uuid4())
    said = DeviceEvent(
        "a",
        RECEIVED_AT,
        "the device's status",
        Status.WARNING,
        {"sensor": {"battery_v": 3.3, "name": "Brücke"}},
        rssi_dbm=-80.0,
        snr_db=7.5,
        sequence=2**32 - 1,
    )
    event = DeliveredEvent(said, uuid4(), RECEIVED_AT, uuid4())
    bare = replace(event, event=DeviceEvent("a", RECEIVED_AT, "start"))
    outgoing = [
        *starmap(encode_delivered, (delivered, framed)),
        *map(encode_event, (event, bare)),
        *encode_refusal(REFUSAL),
        encode_receipt(RECEIPT),
    ]
    assert decoded(outgoing) == [delivered, framed, event, bare, REFUSAL, RECEIPT]


@pytest.mark.parametrize("text", ["\uffff", "\ufffe", "\x7f", "\U0010ffff", "\u00e9" * 4000])
def test_any_text_that_json_has_can_be_sent(text: str) -> None:
    """SQS refuses some characters: what holds one would stay with the broker for ever."""
    reading = Reading("a", RECEIVED_AT, 1.5, extra={"note": text, text: 1})
    delivered = DeliveredReading(reading, uuid4(), RECEIVED_AT)
    sent = encode_delivered(*delivered)
    assert screen([sent], fifo=True) == ([0], [])
    assert decoded([sent]) == [delivered]


@pytest.mark.parametrize("raw", [b"", b"\xff" * 1_000_000])
@pytest.mark.parametrize("topic", ["tilt/a/telemetry", "\u00e9" * 32_767])
@pytest.mark.parametrize("detail", ["", "\u00e9" * 300])
def test_the_largest_refusal_can_be_sent(raw: bytes, topic: str, detail: str) -> None:
    refusal = replace(REFUSAL, raw=raw, topic=topic, detail=detail)
    sent = list(encode_refusal(refusal))
    assert screen(sent, fifo=True) == (list(range(len(sent))), [])
    parts = [content for content in decoded(sent) if isinstance(content, Refusal)]
    assert b"".join(part.raw for part in parts) == raw
    assert [(part.part, part.parts) for part in parts] == [
        (n, len(parts)) for n in range(len(parts))
    ]


def test_the_least_of_everything_is_read() -> None:
    receipt = replace(RECEIPT, messages=0, items={})
    refusal = replace(REFUSAL, item=0)
    assert decoded([encode_receipt(receipt), *encode_refusal(refusal)]) == [receipt, refusal]


def test_a_refusal_travels_in_as_few_parts_as_can_be() -> None:
    sent = list(encode_refusal(replace(REFUSAL, raw=b"\xff" * 1_000_000)))
    assert len(sent) == 6


def test_numbers_that_are_not_finite_are_never_sent() -> None:
    event = DeviceEvent("a", RECEIVED_AT, "start", fields={"a": float("nan")})
    with pytest.raises(ValueError, match="JSON compliant"):
        encode_event(DeliveredEvent(event, uuid4(), RECEIVED_AT, uuid4()))


def test_an_event_is_of_a_device() -> None:
    event = DeliveredEvent(DeviceEvent("", RECEIVED_AT, "start"), uuid4(), RECEIVED_AT, uuid4())
    with pytest.raises(InvalidMessage):
        decoded([encode_event(event)])


def test_what_stands_on_the_queue_is_what_is_documented() -> None:
    """Another version may have put it there, or may take it."""
    identity, frame = uuid4(), uuid4()
    at = "2026-01-18T10:30:00Z"
    reading = DeliveredReading(Reading("a", RECEIVED_AT, 1.5), identity, RECEIVED_AT, frame)
    event = DeliveredEvent(DeviceEvent("a", RECEIVED_AT, "start"), identity, RECEIVED_AT, frame)
    refusal = replace(REFUSAL, delivery_id=identity, detail="why", item=3)
    sent = encode_delivered(*reading)
    attributes = {"type": "reading", "delivery": str(identity), "received_at": at}
    assert sent.attributes == attributes | {"frame": str(frame)}
    assert json.loads(sent.body) == {
        "device_id": "a",
        "timestamp": at,
        "tilt_angle": 1.5,
        "status": "normal",
    }
    assert (sent.group_id, sent.deduplication_id) == ("a", str(identity))
    sent = encode_event(event)
    assert sent.attributes == {"type": "device_event", "delivery": str(identity)}
    assert json.loads(sent.body) == {
        "device_id": "a",
        "observed_at": at,
        "detail": "start",
        "status": "normal",
        "fields": {},
        "rssi": None,
        "snr": None,
        "sequence": None,
        "received_at": at,
        "frame": str(frame),
    }
    assert (sent.group_id, sent.deduplication_id) == ("a", str(identity))
    [sent] = encode_refusal(refusal)
    assert sent.attributes == {"type": "refusal", "delivery": str(identity)}
    assert json.loads(sent.body) == {
        "delivery_id": str(identity),
        "device_id": "a",
        "topic": "tilt/a/telemetry",
        "raw": "AP8=",
        "reason": "not_utf8",
        "detail": "why",
        "received_at": at,
        "item": 3,
        "part": 0,
        "parts": 1,
    }
    assert (sent.group_id, sent.deduplication_id) == ("a", f"{identity}.0")
    [sent] = encode_refusal(replace(refusal, device_id=""))
    assert sent.group_id == "$unattributed"
    sent = encode_receipt(RECEIPT)
    assert sent.attributes == {"type": "receipt"}
    assert json.loads(sent.body) == {
        "batch_id": RECEIPT.batch_id,
        "received_at": at,
        "messages": 2,
        "items": {"a": 1, "": 1},
    }
    assert (sent.group_id, sent.deduplication_id) == ("$receipt", f"receipt.{RECEIPT.batch_id}")


def answer(device_id: str, sender: Sender | None) -> CommandEvent:
    arrival = Arrival(uuid4(), "v3/x", b"{}", RECEIVED_AT, sender)
    kind = CommandEventKind.ACKNOWLEDGED
    return CommandEvent(uuid4(), device_id, kind, RECEIVED_AT, arrival=arrival)


@pytest.mark.parametrize(
    ("device_id", "sender", "group"),
    [
        ("a", None, "a"),
        ("", None, "$unattributed"),
        ("", Sender(dev_eui="1000000000000001"), "1000000000000001"),
        ("", Sender(application="app", network_device_id="eui-1"), "$eui-1"),
    ],
)
def test_an_answer_waits_behind_others_of_its_sender(
    device_id: str, sender: Sender | None, group: str
) -> None:
    event = answer(device_id, sender)
    sent = encode_command_event(event)
    assert event.arrival is not None
    identity = str(event.arrival.delivery_id)
    assert sent.attributes == {"type": "command_event", "delivery": identity}
    assert (sent.group_id, sent.deduplication_id) == (group, identity)
    assert decoded([sent]) == [event]


def test_only_a_handlers_word_is_not_accounted_for() -> None:
    heard = encode_command_event(answer("a", None))
    said = encode_command_event(replace(answer("a", None), arrival=None))
    assert said.attributes == {"type": "command_event"}
    sent = [heard, said, encode_receipt(RECEIPT), OutgoingMessage("?", {"type": "riddle"})]
    assert [is_accounted(message) for message in queue_messages(sent)] == [True, False, True, True]


def test_what_did_not_come_from_parsing_is_identified_by_the_queue() -> None:
    body = encode_delivered(Reading("a", RECEIVED_AT, 1.5), uuid4(), RECEIVED_AT)
    [message] = queue_messages([OutgoingMessage(body.body, {}, "a", "x")])
    first = decode(message)
    assert isinstance(first, DeliveredReading)
    assert first == decode(message)
    assert (first.received_at, first.frame) == (message.sent_at, None)
    sent = forward(message)
    assert sent.attributes == {
        "delivery": str(first.delivery_id),
        "received_at": format_time(message.sent_at),
    }
    assert (sent.group_id, sent.deduplication_id) == (None, None)
    assert decode(structs.replace(message, attributes=sent.attributes)) == first


@pytest.mark.parametrize("name", ["delivery", "received_at", "frame"])
def test_an_attribute_that_is_none_of_ours_is_refused(name: str) -> None:
    reading = DeliveredReading(Reading("a", RECEIVED_AT, 1.5), uuid4(), RECEIVED_AT, uuid4())
    sent = encode_delivered(*reading)
    with pytest.raises(InvalidMessage):
        decoded([structs.replace(sent, attributes={**sent.attributes, name: "?"})])


def test_a_delivery_id_tells_its_batch() -> None:
    assert batch_of(delivery_id(RECEIPT.batch_id, 2**32 - 1)) == RECEIPT.batch_id
    written = list(islice(written_ids(RECEIPT.batch_id), 300))
    assert written == [str(delivery_id(RECEIPT.batch_id, index)) for index in range(300)]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("receipt", {"batch_id": "x" * 24}),
        ("receipt", {"batch_id": "0" * 23}),
        ("receipt", {"items": {"a\0": 1}}),
        ("receipt", {"items": {"a": -1}}),
        ("receipt", {"items": []}),
        ("receipt", {"messages": None}),
        ("receipt", {"messages": True}),
        ("receipt", {"messages": float("inf")}),
        ("receipt", {"messages": 2**31}),
        ("receipt", {"items": {"a": 2**31}}),
        ("receipt", {"items": {"a": 0}}),
        ("receipt", {"items": {"a": 1.5}}),
        ("receipt", {"received_at": "0001-01-01T00:00:00+14:00"}),
        ("event", {"device_id": "a b"}),
        ("event", {"fields": []}),
        ("event", {"fields": {"a": "\ud800"}}),
        ("event", {"status": "bad mood"}),
        ("event", {"detail": None}),
        ("event", {"fields": {"a": "\0"}}),
        ("event", {"snr": "high"}),
        ("event", {"snr": 10**400}),
        ("event", {"rssi": float("nan")}),
        ("event", {"sequence": 2**63}),
        ("event", {"sequence": "7"}),
        ("event", {"frame": "?"}),
        ("event", {"observed_at": "2026-01-18T10:30:00"}),
        ("refusal", {"device_id": "a b"}),
        ("refusal", {"raw": "?"}),
        ("refusal", {"reason": "bad_mood"}),
        ("refusal", {"topic": "\0"}),
        ("refusal", {"detail": "\ud800"}),
        ("refusal", {"part": 1}),
        ("refusal", {"part": -1}),
        ("refusal", {"part": float("inf")}),
        ("refusal", {"parts": 2**31}),
        ("refusal", {"item": 2**31}),
        ("refusal", {"item": -1}),
        ("refusal", {"parts": 0}),
        ("receipt", {"messages": -1}),
        ("refusal", {"received_at": "2026-01-18T10:30:00"}),
    ],
)
def test_a_body_that_is_not_of_its_type_is_refused(kind: str, changes: dict[str, object]) -> None:
    """One of them must not spoil the transaction of its neighbours."""
    event = DeliveredEvent(DeviceEvent("a", RECEIVED_AT, ""), uuid4(), RECEIVED_AT, uuid4())
    good = {
        "receipt": encode_receipt(RECEIPT),
        "refusal": next(iter(encode_refusal(REFUSAL))),
        "event": encode_event(event),
    }[kind]
    body = json.dumps(json.loads(good.body) | changes)
    with pytest.raises(InvalidMessage):
        decoded([OutgoingMessage(body, good.attributes)])


@pytest.mark.parametrize(
    ("body", "attributes"),
    [
        ("[" * 100_000, {"type": "receipt"}),
        ("{}", {"type": "riddle"}),
        ("{}", {"type": "reading"}),
        ("null", {"type": "refusal"}),
    ],
)
def test_anything_else_is_refused(body: str, attributes: dict[str, str]) -> None:
    with pytest.raises(InvalidMessage):
        decoded([OutgoingMessage(body, attributes)])


@pytest.mark.parametrize("text", ["", "7", "x" * 36, "0b2ad0e4-52a5-4a6b-8f8f-00000000000"])
def test_a_delivery_that_is_no_uuid_goes_nowhere(text: str) -> None:
    [good] = queue_messages([encode_delivered(Reading("a", RECEIVED_AT, 1.5), text, RECEIVED_AT)])
    for use in (decode, forward):
        with pytest.raises(InvalidMessage, match="UUID"):
            use(good)


@pytest.mark.parametrize("form", ["{}", "{{{}}}", "urn:uuid:{}"])
def test_a_delivery_may_be_written_as_any_uuid(form: str) -> None:
    identity = uuid4()
    for text in (str(identity), identity.hex, str(identity).upper()):
        delivery = form.format(text)
        outgoing = encode_delivered(Reading("a", RECEIVED_AT, 1.5), delivery, RECEIVED_AT)
        [content] = decoded([outgoing])
        assert isinstance(content, DeliveredReading)
        assert content.delivery_id == identity


ZONES = [UTC, timezone(timedelta(hours=-3, minutes=-30))]


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.sampled_from(ZONES)))  # noqa: DTZ001 - the zones come beside
@example(RECEIVED_AT.replace(microsecond=0))
@example(RECEIVED_AT.replace(microsecond=120_000))
def test_the_time_of_receipt_is_written_as_any_time(received_at: datetime) -> None:
    outgoing = encode_delivered(Reading("a", RECEIVED_AT, 1.5), uuid4(), received_at)
    assert outgoing.attributes["received_at"] == format_time(received_at)
