"""A batch on its way into the queue: whose each item is, and what it is known by."""

import gc
import json
from datetime import timedelta
from uuid import UUID, uuid4, uuid5

from fake_broker import RECEIVED_AT, ScriptedQueue, queue_messages
from fakes import FakeClock
from plumbline.application.intake import Accepted, Intake
from plumbline.application.uplinks import ReadUplink
from plumbline.codecs.queue_message import decode
from plumbline.domain.command_event import CommandEvent
from plumbline.domain.delivery import DeliveredReading, Receipt, Refusal, delivery_id
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading, format_time
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload
from plumbline.ports import BrokerMessage

BATCH = "0123456789abcdef01234567"
TELEMETRY = "tilt/a/telemetry"
DEV_EUI = "1000000000000001"


def reading(sequence: int) -> bytes:
    at = format_time(RECEIVED_AT)
    return json.dumps({"timestamp": at, "tilt_angle": 1, "sequence": sequence}).encode()


def accept(
    messages: list[tuple[str, bytes]], only: dict[int, int] | None = None
) -> tuple[ScriptedQueue, Accepted]:
    queue = ScriptedQueue()
    intake = Intake(queue, FakeClock(RECEIVED_AT), batch_ids=lambda _: BATCH)
    taken = [BrokerMessage(*one, number, RECEIVED_AT) for number, one in enumerate(messages, 1)]
    return queue, intake.accept(taken, only)


def test_each_item_of_a_batch_has_the_next_identity() -> None:
    array = b"[" + reading(2) + b"," + reading(3) + b",7]"
    queue, accepted = accept([(TELEMETRY, reading(1)), (TELEMETRY, array), ("x", b"?")])
    contents = [decode(message) for message in queue_messages(queue.sent)]
    identities = [c.delivery_id for c in contents if isinstance(c, DeliveredReading | Refusal)]
    assert identities == [delivery_id(BATCH, index) for index in range(5)]
    assert [c.item for c in contents if isinstance(c, Refusal)] == [2, None]
    assert contents[-1] == Receipt(BATCH, RECEIVED_AT, 3, {"a": 4, "": 1})
    assert accepted == Accepted(
        frozenset(), frozenset(), readings=3, events=0, refusals=2, answers=0
    )


def test_a_refusal_holds_on_to_nothing_of_its_batch() -> None:
    """By its traceback it would keep all of the batch until the collector comes, once in hours."""
    lorawan = f"application/x/device/{DEV_EUI}/event/up"
    bad = [b"{}", b"[7,8]", b"\xff", b'{"tilt_angle":1e999}', b"[" * 300]
    messages = [(topic, payload) for payload in bad for topic in (TELEMETRY, lorawan, "x")]
    gc.collect()
    gc.disable()
    try:
        accept(messages)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_an_array_of_one_is_no_array() -> None:
    queue, _ = accept([(TELEMETRY, b"[7]")])
    [refusal, _] = [decode(message) for message in queue_messages(queue.sent)]
    assert isinstance(refusal, Refusal)
    assert refusal.item is None


def test_of_an_array_of_two_each_refusal_has_its_place() -> None:
    queue, _ = accept([(TELEMETRY, b"[7,8]")])
    contents = [decode(message) for message in queue_messages(queue.sent)]
    assert [c.item for c in contents if isinstance(c, Refusal)] == [0, 1]


def test_of_an_array_only_the_item_that_is_asked_for_is_taken() -> None:
    array = b"[" + reading(1) + b"," + reading(2) + b"," + reading(3) + b"]"
    queue, accepted = accept([(TELEMETRY, array), (TELEMETRY, array)], {1: 1})
    contents = [decode(message) for message in queue_messages(queue.sent)]
    found = [c.reading.sequence for c in contents if isinstance(c, DeliveredReading)]
    assert found == [1, 2, 3, 2]
    assert accepted.readings == 4
    assert contents[-1] == Receipt(BATCH, RECEIVED_AT, 2, {"a": 4})


def test_what_a_servers_clock_says_is_never_later_than_we_had_it() -> None:
    topic = f"application/app/device/{DEV_EUI}/event/txack"
    for ahead_s, occurred_s in ((60, 0), (-60, -60)):
        event = {
            "time": format_time(RECEIVED_AT + timedelta(seconds=ahead_s)),
            "deviceInfo": {"devEui": DEV_EUI},
            "queueItemId": str(uuid4()),
        }
        queue, accepted = accept([(topic, json.dumps(event).encode())])
        [heard, _] = [decode(message) for message in queue_messages(queue.sent)]
        assert isinstance(heard, CommandEvent)
        assert heard.occurred_at == RECEIVED_AT + timedelta(seconds=occurred_s)
        assert accepted.answers == 1


def test_a_message_that_says_nothing_to_us_leaves_nothing() -> None:
    queue, accepted = accept(
        [("v3/a/devices/d/down/queued", b'{"end_device_ids":{"device_id":"d"}}')]
    )
    assert queue.sent == []
    assert accepted == Accepted(frozenset(), frozenset(), 0, 0, 0, 0)


def test_a_frame_names_what_comes_again_with_each_reception() -> None:
    frame = UUID(int=7)
    live = Reading("a", RECEIVED_AT, 1.0, sequence=3)
    logged = Reading("a", RECEIVED_AT, 1.0)
    said, early = DeviceEvent("a", RECEIVED_AT, "x", sequence=3), DeviceEvent("a", RECEIVED_AT, "x")
    refused = InvalidPayload(Reason.TIMESTAMP_TOO_OLD)
    read = ReadUplink("a", [live, logged, said, early, refused, early], frame)
    assert [read.frame_of(position) for position in range(6)] == [
        frame,
        None,
        frame,
        uuid5(frame, "3"),
        None,
        uuid5(frame, "5"),
    ]
    assert ReadUplink("a", [live]).frame_of(0) is None
