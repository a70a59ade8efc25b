"""Commands to ChirpStack v4, and what it says became of them.

A command goes to ``application/{id}/device/{dev_eui}/command/down``; ``event/txack`` tells that a
gateway has transmitted it, ``event/ack`` whether the device has confirmed it.

Source: chirpstack/chirpstack, api/proto/integration/integration.proto (DownlinkCommand, TxAckEvent,
AckEvent), as protobuf's JSON: names in camel case, fields of value 0 or false left out.
"""

import base64
import json
import re

from plumbline.codecs.downlink_topic import level
from plumbline.codecs.event_json import eui, member, moment, parse_event, uuid
from plumbline.codecs.sensors.codec import Downlink
from plumbline.domain.command import Command
from plumbline.domain.command_event import CommandAnswer, CommandEventKind, Sender
from plumbline.domain.device import Lorawan
from plumbline.domain.reading import format_time
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

_TOPIC = re.compile(r"application/[A-Za-z0-9_.-]{1,100}/device/([0-9A-Fa-f]{16})/event/(ack|txack)")


def encode_downlink(command: Command, lorawan: Lorawan, downlink: Downlink) -> tuple[str, bytes]:
    """Return topic and payload that put the downlink into the device's queue.

    ChirpStack drops it at the command's end, where it is still there then.

    Raises:
        InvalidMessage: The registry's application id is no level of a topic.
    """
    topic = f"application/{level(lorawan.application)}/device/{lorawan.dev_eui}/command/down"
    members = {
        "devEui": lorawan.dev_eui,
        "confirmed": downlink.confirmed,
        "fPort": downlink.f_port,
        "data": base64.b64encode(downlink.payload).decode(),
        "id": str(command.command_id),
        "expiresAt": format_time(command.expires_at),
    }
    return topic, json.dumps(members, separators=(",", ":")).encode()


def event_of(topic: str) -> str | None:
    """Return the event's name where the topic is one of those that `decode_answer` reads."""
    match = _TOPIC.fullmatch(topic)
    return None if match is None else match[2]


def decode_answer(topic: str, payload: bytes) -> CommandAnswer | None:
    """Decode an event; None where it is about a frame of ChirpStack's own.

    Raises:
        InvalidPayload: Not the JSON of such an event, or of another device than its topic's.
    """
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise InvalidPayload(Reason.UNKNOWN_TOPIC)
    event = parse_event(payload)
    dev_eui = eui(member(event, "deviceInfo"), "devEui")
    if dev_eui != match[1].lower():
        raise InvalidPayload(Reason.DEVICE_ID_MISMATCH, "deviceInfo.devEui")
    occurred_at = moment(event, "time")
    command_id = uuid(event, "queueItemId")
    if command_id is None:
        return None
    sender = Sender(dev_eui=dev_eui)
    if match[2] == "txack":
        kind, detail = CommandEventKind.TRANSMITTED, ""
    elif _flag(event.get("acknowledged")):
        kind, detail = CommandEventKind.ACKNOWLEDGED, ""
    else:
        kind = CommandEventKind.FAILED
        detail = "transmitted, but the device did not acknowledge it"
    return CommandAnswer(command_id, kind, detail, occurred_at, sender)


def _flag(value: object) -> bool:
    if value is None:
        return False
    if type(value) is not bool:
        raise InvalidPayload(Reason.INVALID_FIELD, "acknowledged: true or false")
    return value
