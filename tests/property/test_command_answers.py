"""Whatever is published where answers are expected: an answer, nothing of ours, or a refusal."""

import json
from contextlib import suppress
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from fake_broker import queue_messages
from plumbline.codecs import command_queue
from plumbline.codecs.command_answer import decode_answer, is_answer_topic
from plumbline.domain.command_event import CommandAnswer, CommandEventKind
from plumbline.errors import InvalidMessage, InvalidPayload
from plumbline.ports import OutgoingMessage

TOPICS = [
    "tilt/d1/commands/ack",
    "application/1/device/1000000000000001/event/ack",
    "application/1/device/1000000000000001/event/txack",
    *(f"v3/app@ttn/devices/dev1/down/{e}" for e in ("queued", "sent", "ack", "nack", "failed")),
]
NAMES = [
    *("command_id", "status", "detail", "time", "deviceInfo", "devEui", "queueItemId"),
    *("acknowledged", "end_device_ids", "device_id", "received_at", "correlation_ids"),
    *("downlink_sent", "downlink_ack", "downlink_nack", "downlink_failed", "downlink"),
    *("error", "message_format"),
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "acknowledged",
            "failed",
            "dev1",
            "1000000000000001",
            "0f8fad5b-d9cb-469f-a165-70867728950e",
            "plumbline:0f8fad5b-d9cb-469f-a165-70867728950e",
            "2026-01-01T00:00:00Z",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5)
    ),
    max_leaves=8,
)


def check(topic: str, payload: bytes) -> None:
    with suppress(InvalidPayload):
        found = decode_answer(topic, payload)
        if found is not None:
            assert isinstance(found, CommandAnswer)
            assert isinstance(found.command_id, UUID)
            assert found.kind in CommandEventKind
            assert found.detail.isprintable()
            assert len(found.detail) <= 300


@given(st.sampled_from(TOPICS), st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_a_clear_refusal(topic: str, payload: bytes) -> None:
    assert is_answer_topic(topic)
    check(topic, payload)


@given(st.sampled_from(TOPICS), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8))
def test_any_json_is_an_answer_or_a_clear_refusal(topic: str, event: dict[str, Any]) -> None:
    check(topic, json.dumps(event).encode())


@given(st.text(max_size=60))
def test_any_topic_is_one_of_ours_or_not(topic: str) -> None:
    if not is_answer_topic(topic):
        with suppress(InvalidPayload):
            decode_answer(topic, b"{}")
            raise AssertionError


@given(
    body=st.text(max_size=100) | VALUES.map(json.dumps),
    attributes=st.dictionaries(
        st.sampled_from(["type", "attempt", "dev_eui", "network_server", "application"]),
        st.text(min_size=1, max_size=20) | st.sampled_from(["command", "withdrawal", "chirpstack"]),
    ),
    group_id=st.text(max_size=10),
    deduplication_id=st.text(max_size=40) | st.uuids().map(str),
)
def test_any_message_of_a_command_queue_is_a_command_or_a_clear_refusal(
    body: str, attributes: dict[str, str], group_id: str, deduplication_id: str
) -> None:
    [message] = queue_messages([OutgoingMessage(body, attributes, group_id, deduplication_id)])
    with suppress(InvalidMessage):
        command_queue.decode(message)
