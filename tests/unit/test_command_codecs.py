"""Commands on the wire, in their queues, and the answers of devices and network servers."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from command_world import CHIRPSTACK, THINGS_STACK, answer, command, handler_event
from fake_broker import queue_messages
from plumbline.codecs import command_event_json, command_json, command_queue
from plumbline.codecs.command_answer import decode_answer, is_answer_topic
from plumbline.codecs.queue_message import decode, encode_command_event
from plumbline.codecs.sensors import registry
from plumbline.domain.command import Verb
from plumbline.domain.command_event import CommandAnswer, CommandEvent, CommandEventKind, Sender
from plumbline.errors import InvalidMessage, InvalidPayload
from store_world import Batch

K = CommandEventKind
COMMAND_ID = UUID("0f8fad5b-d9cb-469f-a165-70867728950e")
DEV_EUI = "1000000000000001"
CHIRPSTACK_TOPIC = f"application/52f14cd4/device/{DEV_EUI}/event/"
THINGS_STACK_TOPIC = "v3/app@ttn/devices/dev1/down/"


def test_a_command_reads_as_it_was_written() -> None:
    one = command("tower", Verb.SET_THRESHOLD, min_deg=-1.5, max_deg=2, axis="x")
    assert command_json.decode(command_json.encode(one), "tower") == one


@pytest.mark.parametrize("lorawan", [None, CHIRPSTACK, THINGS_STACK])
def test_a_queued_command_comes_out_as_it_went_in(lorawan: Any) -> None:  # noqa: ANN401 - or None
    one = command("tower", Verb.IDENTIFY, duration_s=5)
    outgoing = command_queue.encode(one, 7, lorawan)
    assert len(outgoing.attributes) <= 10, "SQS takes no more"
    [message] = queue_messages([outgoing])
    content = command_queue.decode(message)
    assert isinstance(content, command_queue.QueuedCommand)
    assert content.command == one
    assert command_queue.identify(message) == command_queue.Identity(one.command_id, "tower", 7)
    if lorawan is None:
        assert content.lorawan is None
    else:
        assert content.lorawan is not None
        assert content.lorawan.dev_eui == lorawan.dev_eui
        assert content.lorawan.network_device_id == lorawan.network_device_id


def test_a_withdrawal_needs_a_network_server() -> None:
    [message] = queue_messages([command_queue.encode_withdrawal(uuid4(), "wall", THINGS_STACK)])
    assert isinstance(command_queue.decode(message), command_queue.Withdrawal)
    [message] = queue_messages([command_queue.encode(command("wall"), 1, None)])
    message.attributes["type"] = "withdrawal"  # type: ignore[index] # of the test's own dict
    with pytest.raises(InvalidMessage, match="no network server"):
        command_queue.decode(message)


def test_an_event_comes_out_as_it_went_in() -> None:
    one = command("wall")
    sender = Sender(application="walls", tenant="ttn", network_device_id="wall-7")
    for event in (
        handler_event(one, K.UNDELIVERED, 3, detail="nobody", confirmed=False),
        answer(Batch(), 7, one, detail="done", sender=sender),
        answer(Batch(), 7, one, device_id="", sender=Sender(dev_eui=DEV_EUI)),
    ):
        [message] = queue_messages([encode_command_event(event)])
        assert decode(message) == event
        assert message.group_id


@pytest.mark.parametrize(
    "change",
    [
        {"command_id": "1"},
        {"device_id": "a/b"},
        {"device_id": ""},
        {"event": "done"},
        {"occurred_at": "2026-01-01T00:00:00"},
        {"attempt": -1},
        {"attempt": True},
        {"attempt": 2**31},
        {"detail": "\0"},
        {"detail": None},
        {"confirmed": 1},
        {"arrival": {}},
    ],
)
def test_what_is_no_event_is_refused(change: dict[str, Any]) -> None:
    outgoing = encode_command_event(handler_event(command(), K.SENT))
    [message] = queue_messages([outgoing])
    assert isinstance(decode(message), CommandEvent)
    members = json.loads(message.body) | change
    with pytest.raises((ValueError, KeyError, TypeError)):
        command_event_json.decode(json.dumps(members))


def chirpstack(name: str, **members: object) -> tuple[str, dict[str, Any]]:
    event: dict[str, Any] = {
        "time": "2023-05-22T07:47:05.404859+00:00",
        "deviceInfo": {"applicationId": "52f14cd4", "devEui": DEV_EUI},
        "queueItemId": str(COMMAND_ID),
        **members,
    }
    return CHIRPSTACK_TOPIC + name, event


def things_stack(name: str, **members: object) -> tuple[str, dict[str, Any]]:
    event: dict[str, Any] = {
        "end_device_ids": {"device_id": "dev1", "application_ids": {"application_id": "app"}},
        "correlation_ids": ["as:downlink:01"],
        "received_at": "2023-05-19T05:33:35.848446463Z",
        f"downlink_{name}": {
            "f_port": 85,
            "correlation_ids": ["ns:downlink:02", f"plumbline:{COMMAND_ID}"],
        },
        **members,
    }
    return THINGS_STACK_TOPIC + name, event


AT_CHIRPSTACK = datetime(2023, 5, 22, 7, 47, 5, 404859, UTC)
AT_THINGS_STACK = datetime(2023, 5, 19, 5, 33, 35, 848446, UTC)
BY_CHIRPSTACK = Sender(dev_eui=DEV_EUI)
BY_THINGS_STACK = Sender(application="app", tenant="ttn", network_device_id="dev1")


@pytest.mark.parametrize(
    ("said", "kind", "detail"),
    [
        (chirpstack("txack", downlinkId=1, fCntDown=4, gatewayId="6a7e"), K.TRANSMITTED, ""),
        (chirpstack("ack", acknowledged=True), K.ACKNOWLEDGED, ""),
        (
            chirpstack("ack", acknowledged=False),
            K.FAILED,
            "transmitted, but the device did not acknowledge it",
        ),
        (chirpstack("ack"), K.FAILED, "transmitted, but the device did not acknowledge it"),
        (things_stack("sent"), K.TRANSMITTED, ""),
        (things_stack("ack"), K.ACKNOWLEDGED, ""),
        (things_stack("nack"), K.TRANSMITTED, ""),
        (
            things_stack(
                "failed",
                downlink_failed={
                    "downlink": {"correlation_ids": [f"plumbline:{COMMAND_ID}"]},
                    "error": {"namespace": "pkg/x", "name": "no_session"},
                },
            ),
            K.FAILED,
            "no_session",
        ),
        (
            # The event's own correlation ids hold the downlink's, too.
            things_stack(
                "failed",
                downlink_failed={"error": {"message_format": "too \x1b[31mlong"}},
                correlation_ids=[f"plumbline:{COMMAND_ID}"],
            ),
            K.FAILED,
            "too  [31mlong",
        ),
    ],
)
def test_a_network_servers_word_is_understood(
    said: tuple[str, dict[str, Any]], kind: CommandEventKind, detail: str
) -> None:
    topic, event = said
    assert is_answer_topic(topic)
    of_chirpstack = topic.startswith("application")
    assert decode_answer(topic, json.dumps(event).encode()) == CommandAnswer(
        COMMAND_ID,
        kind,
        detail,
        AT_CHIRPSTACK if of_chirpstack else AT_THINGS_STACK,
        BY_CHIRPSTACK if of_chirpstack else BY_THINGS_STACK,
    )


def test_a_deployment_without_tenants_is_understood() -> None:
    _, event = things_stack("ack")
    found = decode_answer("v3/app/devices/dev1/down/ack", json.dumps(event).encode())
    assert found is not None
    assert found.sender == Sender(application="app", tenant="", network_device_id="dev1")


@pytest.mark.parametrize(
    "said",
    [
        chirpstack("txack", queueItemId=""),
        (CHIRPSTACK_TOPIC + "txack", {"deviceInfo": {"devEui": DEV_EUI}}),
        things_stack("queued"),
        things_stack("sent", downlink_sent={"correlation_ids": ["as:downlink:1"]}),
        things_stack("ack", downlink_ack={}),
    ],
    ids=["a frame of its own", "of older versions", "queued", "of somebody else", "without ids"],
)
def test_a_word_about_nothing_of_ours_is_taken_and_not_kept(
    said: tuple[str, dict[str, Any]],
) -> None:
    topic, event = said
    assert decode_answer(topic, json.dumps(event).encode()) is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (chirpstack("ack", queueItemId="17"), "invalid_field"),
        (chirpstack("ack", acknowledged="yes"), "invalid_field"),
        (chirpstack("ack", time="now"), "invalid_timestamp"),
        (chirpstack("ack", deviceInfo={}), "missing_field"),
        (chirpstack("ack", deviceInfo={"devEui": "2" * 16}), "device_id_mismatch"),
        (things_stack("ack", end_device_ids={"device_id": "dev2"}), "device_id_mismatch"),
        (things_stack("ack", end_device_ids={}), "device_id_mismatch"),
        (things_stack("ack", downlink_ack=[]), "invalid_field"),
        (things_stack("ack", downlink_ack={"correlation_ids": "x"}), "invalid_field"),
        (things_stack("ack", downlink_ack={"correlation_ids": [1]}), "invalid_field"),
        (things_stack("ack", downlink_ack={"correlation_ids": ["plumbline:1"]}), "invalid_field"),
        (things_stack("failed", downlink_failed={"error": 1}), "invalid_field"),
    ],
)
def test_what_is_no_such_event_is_refused(said: tuple[str, dict[str, Any]], reason: str) -> None:
    topic, event = said
    with pytest.raises(InvalidPayload) as caught:
        decode_answer(topic, json.dumps(event).encode())
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "topic",
    [
        "tilt/a/telemetry",
        "tilt/a/commands",
        "tilt/a/b/commands/ack",
        CHIRPSTACK_TOPIC + "up",
        CHIRPSTACK_TOPIC + "log",
        "v3/app@ttn/devices/dev1/up",
        THINGS_STACK_TOPIC + "push",
        THINGS_STACK_TOPIC + "replace",
        # No names that a network server gives, and none that a queue's group may have.
        "v3/app/devices/d\u00e9/down/ack",
        f"v3/app/devices/{'d' * 101}/down/ack",
        f"v3/app@{'t' * 101}/devices/d/down/ack",
        f"application/{'a' * 101}/device/1000000000000001/event/ack",
    ],
)
def test_other_topics_are_not_about_answers(topic: str) -> None:
    assert not is_answer_topic(topic)
    with pytest.raises(InvalidPayload) as caught:
        decode_answer(topic, b"{}")
    assert caught.value.reason == "unknown_topic"


def test_every_downlink_of_our_codecs_fits_a_frame() -> None:
    encoded = 0
    for model in registry.models():
        for verb in registry.codec_for(model).commands:
            if verb in {"reboot", "zero", "request_reading"}:
                assert registry.encode(model, verb, {}).payload
                encoded += 1
    assert encoded > 5


def test_times_before_the_epoch_or_beyond_it_are_no_commands() -> None:
    good = json.loads(command_json.encode(command(issued_at=datetime.now(UTC) - timedelta(1))))
    for text in ("0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "2026-13-01T00:00:00Z"):
        with pytest.raises(InvalidMessage, match="issued_at"):
            command_json.decode(json.dumps(good | {"issued_at": text}), "a")
