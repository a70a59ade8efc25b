"""From an MQTT topic and payload to readings."""

import re
from datetime import datetime
from functools import lru_cache

from plumbline.codecs.reading_json import decode_payload
from plumbline.domain.delivery import UNATTRIBUTED
from plumbline.domain.reading import MAX_AGE, MAX_AHEAD, Reading, is_device_id
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

TELEMETRY_TOPIC = "tilt/{device_id}/telemetry"
COMMAND_TOPIC = "tilt/{device_id}/commands"
ACKNOWLEDGEMENT_TOPIC = "tilt/{device_id}/commands/ack"

# A fleet publishes on the same topics for ever.
_REMEMBERED_TOPICS = 100_000

_TELEMETRY = re.compile(r"tilt/([^/]*)/telemetry")


@lru_cache(_REMEMBERED_TOPICS)
def device_of_topic(topic: str) -> str:
    """Return the device id that the topic names, or UNATTRIBUTED."""
    parts = topic.split("/", 2)
    if len(parts) > 1 and parts[0] == "tilt" and is_device_id(parts[1]):
        return parts[1]
    return UNATTRIBUTED


def decode_message(
    topic: str, payload: bytes, received_at: datetime
) -> list[Reading | InvalidPayload]:
    """Decode one message that the broker handed over.

    Returns:
        One entry a reading, in order: the reading, or why it is none. Never empty.
    Raises:
        InvalidPayload: The topic is none of ours, or nothing of the payload can be read.
    """
    device_id = _device_of_telemetry(topic)
    return decode_payload(
        payload, device_id, received_at=received_at, max_age=MAX_AGE, max_ahead=MAX_AHEAD
    )


@lru_cache(_REMEMBERED_TOPICS)
def _device_of_telemetry(topic: str) -> str:
    match = _TELEMETRY.fullmatch(topic)
    if match is None:
        raise InvalidPayload(Reason.UNKNOWN_TOPIC)
    if not is_device_id(match[1]):
        raise InvalidPayload(Reason.INVALID_DEVICE_ID, "in the topic")
    return match[1]
