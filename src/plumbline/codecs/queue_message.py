"""What travels on the two queues of the pipeline.

The body of a reading is the document's JSON and nothing else; what Plumbline needs beside it goes
into message attributes:

============== ============================================================================
``type``       ``reading`` (also where absent), ``device_event``, ``refusal``, ``receipt``,
               ``command_event``
``delivery``   delivery id; absent for what did not come from a broker
``received_at`` RFC 3339, when the broker handed the message over (readings)
``frame``      the radio frame (readings of a network server): of equal frames, one counts
============== ============================================================================
"""

import base64
import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import NAMESPACE_OID, UUID, uuid5

import msgspec

from plumbline.codecs import command_event_json
from plumbline.codecs.reading_json import decode_reading, encode_reading
from plumbline.domain.command_event import CommandEvent
from plumbline.domain.delivery import (
    UNATTRIBUTED,
    DeliveredEvent,
    DeliveredReading,
    Receipt,
    Refusal,
    is_batch_id,
)
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading, Status, format_time, is_device_id
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidMessage
from plumbline.ports import OutgoingMessage, QueueMessage

READING = "reading"
DEVICE_EVENT = "device_event"
REFUSAL = "refusal"
RECEIPT = "receipt"
COMMAND_EVENT = "command_event"
TYPES = frozenset({READING, DEVICE_EVENT, REFUSAL, RECEIPT, COMMAND_EVENT})

Content: TypeAlias = DeliveredReading | DeliveredEvent | Refusal | Receipt | CommandEvent

TYPE_ATTRIBUTE = "type"
DELIVERY_ATTRIBUTE = "delivery"
RECEIVED_AT_ATTRIBUTE = "received_at"
FRAME_ATTRIBUTE = "frame"

# A queue message holds 256 KiB; what is left is for its attributes and the part's number.
_BODY_BYTES = 261_000

_INT32, _INT64 = 2**31, 2**63
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")

_RECEIPT_GROUP = "$receipt"
_UNATTRIBUTED_GROUP = "$unattributed"

# What parsing gives each reading.
_OF_PARSING = {DELIVERY_ATTRIBUTE, RECEIVED_AT_ATTRIBUTE}

_json_of = msgspec.json.Encoder().encode
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def encode_delivered(
    reading: Reading, delivery_id: UUID | str, received_at: datetime, frame: UUID | None = None
) -> OutgoingMessage:
    """Make the queue message of a `DeliveredReading` of these; its group is the device."""
    identity = str(delivery_id)
    attributes = {
        TYPE_ATTRIBUTE: READING,
        DELIVERY_ATTRIBUTE: identity,
        RECEIVED_AT_ATTRIBUTE: _written(received_at),
    }
    if frame is not None:
        attributes[FRAME_ATTRIBUTE] = str(frame)
    return OutgoingMessage(encode_reading(reading), attributes, reading.device_id, identity)


def encode_event(delivered: DeliveredEvent) -> OutgoingMessage:
    """Make the queue message of a device's event; its group is the device."""
    event = delivered.event
    identity = str(delivered.delivery_id)
    return OutgoingMessage(
        body=_ENCODER.encode(
            {
                "device_id": event.device_id,
                "observed_at": format_time(event.observed_at),
                "detail": event.detail,
                "status": event.status.value,
                "fields": event.fields,
                "rssi": event.rssi_dbm,
                "snr": event.snr_db,
                "sequence": event.sequence,
                "received_at": format_time(delivered.received_at),
                "frame": str(delivered.frame),
            }
        ),
        attributes={TYPE_ATTRIBUTE: DEVICE_EVENT, DELIVERY_ATTRIBUTE: identity},
        group_id=event.device_id,
        deduplication_id=identity,
    )


def encode_refusal(refusal: Refusal) -> Iterator[OutgoingMessage]:
    """Make the queue messages of a refused message: one, or several for a large one."""
    members = {
        "delivery_id": str(refusal.delivery_id),
        "device_id": refusal.device_id,
        "topic": refusal.topic,
        "reason": refusal.reason.value,
        "detail": refusal.detail,
        "received_at": format_time(refusal.received_at),
        "item": refusal.item,
    }
    # Six characters may stand for one of a topic, which has up to 64 KiB; base64 makes 4 of 3.
    raw_bytes = (_BODY_BYTES - len(_ENCODER.encode(members))) // 4 * 3
    raws = [
        refusal.raw[start : start + raw_bytes] for start in range(0, len(refusal.raw), raw_bytes)
    ] or [b""]
    for part, raw in enumerate(raws):
        found = {"raw": base64.b64encode(raw).decode(), "part": part, "parts": len(raws)}
        yield OutgoingMessage(
            body=_ENCODER.encode(members | found),
            attributes={TYPE_ATTRIBUTE: REFUSAL, DELIVERY_ATTRIBUTE: str(refusal.delivery_id)},
            group_id=refusal.device_id or _UNATTRIBUTED_GROUP,
            deduplication_id=f"{refusal.delivery_id}.{part}",
        )


def encode_receipt(receipt: Receipt) -> OutgoingMessage:
    """Make the queue message of a batch's receipt."""
    return OutgoingMessage(
        body=_ENCODER.encode(
            {
                "batch_id": receipt.batch_id,
                "received_at": format_time(receipt.received_at),
                "messages": receipt.messages,
                "items": receipt.items,
            }
        ),
        attributes={TYPE_ATTRIBUTE: RECEIPT},
        group_id=_RECEIPT_GROUP,
        deduplication_id=f"receipt.{receipt.batch_id}",
    )


def encode_command_event(event: CommandEvent) -> OutgoingMessage:
    """Make the queue message of an event; its group is the device."""
    attributes = {TYPE_ATTRIBUTE: COMMAND_EVENT}
    if event.arrival is not None:
        attributes[DELIVERY_ATTRIBUTE] = str(event.arrival.delivery_id)
    return OutgoingMessage(
        body=command_event_json.encode(event),
        attributes=attributes,
        group_id=event.device_id or _group_of_sender(event),
        deduplication_id=event.event_id,
    )


def is_accounted(message: QueueMessage) -> bool:
    """Tell whether the message, readable or not, is a delivery or tells of some."""
    handlers_word = (
        message.attributes.get(TYPE_ATTRIBUTE) == COMMAND_EVENT
        and DELIVERY_ATTRIBUTE not in message.attributes
    )
    return not handlers_word


def decode(message: QueueMessage) -> Content:
    """Decode a queue message of any of our types.

    A reading without a ``delivery`` attribute was not sent by the parsing function; it gets an
    identity from the queue's own message id, which stays the same when it is received again.

    Raises:
        InvalidMessage: Unknown type, or a body that is not of its type.
    """
    kind = message_type(message)
    try:
        if kind == READING:
            return DeliveredReading(
                decode_reading(message.body),
                delivery_of(message),
                _received_at(message),
                _frame(message),
            )
        if kind == COMMAND_EVENT:
            return command_event_json.decode(message.body)
        members = json.loads(message.body)
        if kind == DEVICE_EVENT:
            return _event(members, delivery_of(message))
        return _refusal(members) if kind == REFUSAL else _receipt(members)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        msg = f"not a {kind}: {type(error).__name__}"
        raise InvalidMessage(msg) from error


def message_type(message: QueueMessage) -> str:
    """Return the message's type.

    Raises:
        InvalidMessage: Unknown type.
    """
    kind = message.attributes.get(TYPE_ATTRIBUTE, READING)
    if kind not in TYPES:
        msg = f"unknown message type {kind!r}"
        raise InvalidMessage(msg)
    return kind


def delivery_of(message: QueueMessage) -> UUID:
    """Return the message's delivery id, made from its message id where it has none.

    Raises:
        InvalidMessage: The attribute is not a UUID.
    """
    text = message.attributes.get(DELIVERY_ATTRIBUTE)
    if text is None:
        return uuid5(NAMESPACE_OID, message.message_id)
    try:
        return _uuid(text)
    except ValueError as error:
        msg = "the delivery attribute is not a UUID"
        raise InvalidMessage(msg) from error


def forward(message: QueueMessage) -> OutgoingMessage:
    """Make the message for the next queue: same body, with the identity it has here.

    Raises:
        InvalidMessage: Unknown type, or a reading whose delivery attribute is not a UUID.
    """
    attributes = message.attributes
    if message_type(message) == READING:
        delivery = delivery_of(message)
        if not attributes.keys() >= _OF_PARSING:
            own = {
                DELIVERY_ATTRIBUTE: str(delivery),
                RECEIVED_AT_ATTRIBUTE: format_time(message.sent_at),
            }
            attributes = own | dict(attributes)
    return OutgoingMessage(message.body, attributes)


def _group_of_sender(event: CommandEvent) -> str:
    sender = None if event.arrival is None else event.arrival.sender
    if sender is None:
        return _UNATTRIBUTED_GROUP
    return sender.dev_eui or f"${sender.network_device_id}"


def _written(moment: datetime) -> str:
    """Return what `format_time` returns; of UTC, msgspec writes the same in a fifth of the time."""
    if moment.tzinfo is UTC:
        return _json_of(moment)[1:-1].decode()
    return format_time(moment)


def _uuid(text: str) -> UUID:
    """Read a UUID; msgspec reads its usual forms in half the time."""
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        return UUID(text)


def _received_at(message: QueueMessage) -> datetime:
    text = message.attributes.get(RECEIVED_AT_ATTRIBUTE)
    return message.sent_at if text is None else _moment(text)


def _frame(message: QueueMessage) -> UUID | None:
    text = message.attributes.get(FRAME_ATTRIBUTE)
    return None if text is None else UUID(text)


def _event(members: dict[str, Any], identity: UUID) -> DeliveredEvent:
    fields = members["fields"]
    if not isinstance(fields, dict):
        msg = "fields is no object"
        raise TypeError(msg)
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False)  # a ValueError where it cannot
    text.encode()
    if _ESCAPED_NUL.search(text):
        msg = "NUL in the fields"
        raise ValueError(msg)
    event = DeviceEvent(
        device_id=_owner(members["device_id"]),
        observed_at=_moment(members["observed_at"]),
        detail=_text(members["detail"]),
        status=Status(members["status"]),
        fields=fields,
        rssi_dbm=_number(members["rssi"]),
        snr_db=_number(members["snr"]),
        sequence=None
        if members["sequence"] is None
        else _whole(members["sequence"], -_INT64, _INT64),
    )
    return DeliveredEvent(event, identity, _moment(members["received_at"]), UUID(members["frame"]))


def _number(value: Any) -> float | None:  # noqa: ANN401 - any JSON
    number = None if value is None else float(value)
    if number is not None and not math.isfinite(number):
        msg = "not a finite number"
        raise ValueError(msg)
    return number


def _whole(value: Any, minimum: int, end: int) -> int:  # noqa: ANN401 - any JSON
    """Return what a column of the database can hold; one that it cannot would spoil its batch."""
    if type(value) is not int or not minimum <= value < end:
        msg = "not a whole number in range"
        raise ValueError(msg)
    return value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        msg = "a time without a zone"
        raise ValueError(msg)
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def _refusal(members: dict[str, Any]) -> Refusal:
    parts = _whole(members["parts"], 1, _INT32)
    part = _whole(members["part"], 0, parts)
    return Refusal(
        delivery_id=UUID(members["delivery_id"]),
        device_id=_device_id(members["device_id"]),
        topic=_text(members["topic"]),
        raw=base64.b64decode(members["raw"], validate=True),
        reason=Reason(members["reason"]),
        detail=_text(members["detail"]),
        received_at=_moment(members["received_at"]),
        item=None if members["item"] is None else _whole(members["item"], 0, _INT32),
        part=part,
        parts=parts,
    )


def _receipt(members: dict[str, Any]) -> Receipt:
    batch_id = _text(members["batch_id"])
    if not is_batch_id(batch_id):
        msg = "not a batch id"
        raise ValueError(msg)
    items = {
        _device_id(device): _whole(count, 1, _INT32) for device, count in members["items"].items()
    }
    messages = _whole(members["messages"], 0, _INT32)
    return Receipt(batch_id, _moment(members["received_at"]), messages, items)


def _owner(value: Any) -> str:  # noqa: ANN401 - any JSON
    text = _device_id(value)
    if text == UNATTRIBUTED:
        msg = "an event of no device"
        raise ValueError(msg)
    return text


def _device_id(value: Any) -> str:  # noqa: ANN401 - any JSON
    text = _text(value)
    if text != UNATTRIBUTED and not is_device_id(text):
        msg = "not a device id"
        raise ValueError(msg)
    return text


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    if not isinstance(value, str) or "\0" in value:
        msg = "not a text that the database can hold"
        raise ValueError(msg)
    value.encode()  # a lone surrogate is a ValueError
    return value
