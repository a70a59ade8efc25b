"""From an MQTT message to what it says about a command.

An MQTT device answers on ``tilt/{device_id}/commands/ack``; for a LoRaWAN device its network server
does, see chirpstack_downlink and things_stack_downlink.
"""

import re
from functools import lru_cache

from plumbline.codecs import chirpstack_downlink, things_stack_downlink
from plumbline.codecs.event_json import line, require_unambiguous, text, uuid
from plumbline.codecs.reading_json import MAX_PAYLOAD_BYTES
from plumbline.codecs.strict_json import parse
from plumbline.domain.command_event import CommandAnswer, CommandEventKind
from plumbline.domain.reading import is_device_id
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

_ACKNOWLEDGEMENT = re.compile(r"tilt/([^/]*)/commands/ack")
_STATUSES = {
    "acknowledged": CommandEventKind.ACKNOWLEDGED,
    "failed": CommandEventKind.FAILED,
}

# A fleet publishes on the same topics for ever.
_REMEMBERED_TOPICS = 100_000


@lru_cache(_REMEMBERED_TOPICS)
def is_answer_topic(topic: str) -> bool:
    """Tell whether what is published there is about commands, or about nothing that we keep."""
    return (
        _ACKNOWLEDGEMENT.fullmatch(topic) is not None
        or chirpstack_downlink.event_of(topic) is not None
        or things_stack_downlink.event_of(topic) is not None
    )


def decode_answer(topic: str, payload: bytes) -> CommandAnswer | None:
    """Decode a message of such a topic; None where it says nothing about a command of ours.

    Raises:
        InvalidPayload: It cannot be read.
    """
    if chirpstack_downlink.event_of(topic) is not None:
        return chirpstack_downlink.decode_answer(topic, payload)
    if things_stack_downlink.event_of(topic) is not None:
        return things_stack_downlink.decode_answer(topic, payload)
    match = _ACKNOWLEDGEMENT.fullmatch(topic)
    if match is None:
        raise InvalidPayload(Reason.UNKNOWN_TOPIC)
    if not is_device_id(match[1]):
        raise InvalidPayload(Reason.INVALID_DEVICE_ID, "in the topic")
    members = parse(payload, MAX_PAYLOAD_BYTES)
    require_unambiguous(members)
    if type(members) is not dict:
        raise InvalidPayload(Reason.NOT_AN_OBJECT, type(members).__name__)
    status = text(members, "status")
    if not status:
        raise InvalidPayload(Reason.MISSING_FIELD, "status")
    if status not in _STATUSES:
        raise InvalidPayload(Reason.INVALID_FIELD, f"status: one of {', '.join(_STATUSES)}")
    command_id = uuid(members, "command_id")
    if command_id is None:
        raise InvalidPayload(Reason.MISSING_FIELD, "command_id")
    return CommandAnswer(command_id, _STATUSES[status], line(members, "detail"))
