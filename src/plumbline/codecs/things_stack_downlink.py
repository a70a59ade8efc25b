"""Commands to The Things Stack v3, and what it says became of them.

A command goes to ``v3/{app}@{tenant}/devices/{dev}/down/push``, without ``@{tenant}`` in a
deployment that has no tenants. A correlation id brings the command's id back on ``down/sent`` (a
gateway has transmitted it), ``ack``, ``nack`` and ``failed``; of ``queued`` nothing is kept.

A ``nack`` is no end: the Application Server puts the downlink back in front of its queue, and the
device gets it again after its next uplink. Nor does the queue look at times: what has expired is
taken out of it, see `encode_withdrawal`.

Source: thethingsindustries.com/docs/integrations/data-formats; TheThingsNetwork/lorawan-stack,
pkg/applicationserver/applicationserver.go (handleDownlinkNack). Fields that are empty, 0 or false
are left out.
"""

import base64
import json
import re
from typing import Any
from uuid import UUID

from plumbline.codecs.downlink_topic import level
from plumbline.codecs.event_json import line, member, moment, parse_event, text
from plumbline.codecs.sensors.codec import Downlink
from plumbline.domain.command import Command
from plumbline.domain.command_event import CommandAnswer, CommandEventKind, Sender
from plumbline.domain.device import Lorawan
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

_TOPIC = re.compile(
    r"v3/(?P<application>[A-Za-z0-9_.-]{1,100})(?:@(?P<tenant>[A-Za-z0-9_.-]{1,100}))?"
    r"/devices/(?P<device>[A-Za-z0-9_.-]{1,100})"
    r"/down/(?P<event>queued|sent|ack|nack|failed)"
)
_CORRELATION = "plumbline:"
_KINDS = {
    "sent": CommandEventKind.TRANSMITTED,
    "ack": CommandEventKind.ACKNOWLEDGED,
    "nack": CommandEventKind.TRANSMITTED,
    "failed": CommandEventKind.FAILED,
}


def encode_downlink(command: Command, lorawan: Lorawan, downlink: Downlink) -> tuple[str, bytes]:
    """Return topic and payload that put the downlink into the device's queue.

    Raises:
        InvalidMessage: A name in the registry is no level of a topic.
    """
    members = {
        "f_port": downlink.f_port,
        "frm_payload": base64.b64encode(downlink.payload).decode(),
        "priority": "NORMAL",
        "confirmed": downlink.confirmed,
        "correlation_ids": [f"{_CORRELATION}{command.command_id}"],
    }
    return _topic(lorawan, "push"), _downlinks([members])


def encode_withdrawal(lorawan: Lorawan) -> tuple[str, bytes]:
    """Return topic and payload that empty the device's queue.

    Of a device only one of our commands is on its way, so nothing else of ours is lost.

    Raises:
        InvalidMessage: A name in the registry is no level of a topic.
    """
    return _topic(lorawan, "replace"), _downlinks([])


def event_of(topic: str) -> str | None:
    """Return the event's name where the topic is one of those that `decode_answer` reads."""
    match = _TOPIC.fullmatch(topic)
    return None if match is None else match["event"]


def decode_answer(topic: str, payload: bytes) -> CommandAnswer | None:
    """Decode an event; None where it is about a downlink of somebody else, or only queued.

    Raises:
        InvalidPayload: Not the JSON of such an event, or of another device than its topic's.
    """
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise InvalidPayload(Reason.UNKNOWN_TOPIC)
    event = parse_event(payload)
    device = member(event, "end_device_ids")
    if text(device, "device_id") != match["device"]:
        raise InvalidPayload(Reason.DEVICE_ID_MISMATCH, "end_device_ids.device_id")
    occurred_at = moment(event, "received_at")
    name = match["event"]
    if name == "queued":
        return None
    downlink = member(event, f"downlink_{name}")
    detail = ""
    if name == "failed":
        error = member(downlink, "error")
        detail = line(error, "message_format") or line(error, "name") or "no reason given"
        downlink = member(downlink, "downlink")
    command_id = _command_id(downlink) or _command_id(event)
    if command_id is None:
        return None
    sender = Sender(
        application=match["application"],
        tenant=match["tenant"] or "",
        network_device_id=match["device"],
    )
    return CommandAnswer(command_id, _KINDS[name], detail, occurred_at, sender)


def _topic(lorawan: Lorawan, verb: str) -> str:
    application = level(lorawan.application)
    if lorawan.tenant:
        application += f"@{level(lorawan.tenant)}"
    return f"v3/{application}/devices/{level(lorawan.network_device_id or '')}/down/{verb}"


def _downlinks(downlinks: list[dict[str, Any]]) -> bytes:
    return json.dumps({"downlinks": downlinks}, separators=(",", ":")).encode()


def _command_id(parent: dict[str, Any]) -> UUID | None:
    found = parent.get("correlation_ids")
    if found is None:
        return None
    if type(found) is not list or any(type(one) is not str for one in found):
        raise InvalidPayload(Reason.INVALID_FIELD, "correlation_ids: an array of strings")
    for one in found:
        if one.startswith(_CORRELATION):
            try:
                return UUID(one.removeprefix(_CORRELATION))
            except ValueError as error:
                detail = f"correlation_ids: {_CORRELATION} and a UUID"
                raise InvalidPayload(Reason.INVALID_FIELD, detail) from error
    return None
