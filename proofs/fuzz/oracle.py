"""What must hold of whatever the product makes of a payload.

Nothing here asks the product's own checks: what a reading may be is said again, from the contract.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fake_broker import queue_messages
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
)
from plumbline.domain.command_event import CommandEvent
from plumbline.domain.delivery import DeliveredEvent, DeliveredReading, Receipt, Refusal
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading, Status
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload
from plumbline.ports import OutgoingMessage, QueueMessage

ACCEPTED = "accepted"

_DEVICE_ID = re.compile(r"[A-Za-z0-9_-]{1,50}", re.ASCII)
_AHEAD, _BEHIND = timedelta(minutes=5), timedelta(days=90)
_INT32, _INT64 = 2**31, 2**63
_QUEUE_ID = re.compile(r"[!-~]{1,128}")
_DETAIL_LENGTH = 300
_JSON_DEPTH = 40
_PARSER_DEPTH = 1000


class Wrong(Exception):
    """Something does not hold."""


def require(holds: object, what: str, *values: object) -> None:
    """Raise Wrong with ``what`` and the values that show it where it does not hold."""
    if not holds:
        raise Wrong(": ".join([what, *(f"{value!r:.500}" for value in values)]))


def outcomes(entries: Iterable[Reading | DeviceEvent | InvalidPayload], now: datetime) -> list[str]:
    """Judge what a message has become; return a word each: ACCEPTED, or the reason."""
    found = []
    for entry in entries:
        match entry:
            case InvalidPayload():
                found.append(refused(entry))
            case Reading():
                require_reading(entry)
                require_now(entry.observed_at, now)
                found.append(ACCEPTED)
            case DeviceEvent():
                require(entry.detail, "an event without a detail")
                require_event(entry, _JSON_DEPTH)
                require_now(entry.observed_at, now)
                found.append(ACCEPTED)
    require(found, "a message without an item")
    return found


def refused(refusal: InvalidPayload) -> str:
    """Judge a refusal; return its reason."""
    require(isinstance(refusal.reason, Reason), "a reason that is not in the list", refusal.reason)
    require(refusal.reason is not Reason.CODEC_FAILED, "a codec failed", refusal.detail)
    require_text(refusal.detail, "detail")
    require(len(refusal.detail) <= _DETAIL_LENGTH, "a long detail", refusal.detail)
    return refusal.reason.value


def require_now(moment: datetime, now: datetime) -> None:
    """Require what the contract asks of a reading's time."""
    require(now - _BEHIND <= moment <= now + _AHEAD, "too old or in the future", moment)


def require_reading(reading: Reading) -> None:
    """Require the contract's ranges."""
    require(_DEVICE_ID.fullmatch(reading.device_id), "no device id", reading.device_id)
    require_moment(reading.observed_at)
    require_angle(reading.tilt_angle_deg)
    require(type(reading.status) is Status, "no status", reading.status)
    battery = reading.battery_level_pct
    require(
        battery is None or (type(battery) is int and 0 <= battery <= 100),
        "no battery level",
        battery,
    )
    for angle in (reading.tilt_x_deg, reading.tilt_y_deg, reading.tilt_z_deg):
        if angle is not None:
            require_angle(angle)
    for number in (reading.temperature_c, reading.rssi_dbm, reading.snr_db):
        require_number(number)
    require_whole(reading.sequence)
    require(isinstance(reading.extra, Mapping), "extra is no object")
    require_json(dict(reading.extra))


def require_event(event: DeviceEvent, depth: int) -> None:
    """Require of a device's event what its row can hold, nested no deeper than that."""
    require(_DEVICE_ID.fullmatch(event.device_id), "no device id", event.device_id)
    require_moment(event.observed_at)
    require_text(event.detail, "detail")
    require(type(event.status) is Status, "no status", event.status)
    require_number(event.rssi_dbm)
    require_number(event.snr_db)
    require_whole(event.sequence)
    require_json(event.fields, depth)


def require_moment(moment: datetime) -> None:
    """Require an aware time in UTC."""
    require(moment.tzinfo is UTC, "not in UTC", moment)


def require_angle(angle: float) -> None:
    """Require degrees."""
    require(type(angle) is float and -180.0 <= angle <= 180.0, "no angle", angle)


def require_number(number: float | None) -> None:
    """Require a finite number, or nothing."""
    holds = number is None or (type(number) is float and math.isfinite(number))
    require(holds, "no finite number", number)


def require_whole(number: int | None) -> None:
    """Require what a bigint holds, or nothing."""
    require(
        number is None or (type(number) is int and -_INT64 <= number < _INT64),
        "no bigint",
        number,
    )


def require_text(text: str, what: str) -> None:
    """Require what a text column holds."""
    require("\0" not in text, "NUL in a text", what, text)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        msg = f"a lone surrogate in {what}"
        raise Wrong(msg) from error


def require_json(value: Any, depth: int = _JSON_DEPTH) -> None:  # noqa: ANN401 - any JSON
    """Require what a jsonb column holds, nested no deeper than that."""
    require(depth >= 0, "nested deeper than the contract's 32 and what holds it")
    if isinstance(value, dict):
        for key, member in value.items():
            require_text(key, "a key")
            require_json(member, depth - 1)
    elif isinstance(value, list | tuple):
        for member in value:
            require_json(member, depth - 1)
    elif isinstance(value, str):
        require_text(value, "a value")
    elif isinstance(value, float):
        require(math.isfinite(value), "not finite, in a document", value)
    else:
        require(value is None or isinstance(value, int), "no JSON value", value)


def require_elements(payload: bytes, results: Sequence[Reading | InvalidPayload]) -> None:
    """Require one result an element, and of each reading the very values of its element."""
    document = json.loads(payload)
    elements = document if isinstance(document, list) else [document]
    require(len(results) == len(elements), "a result is not an element", results)
    for element, result in zip(elements, results, strict=True):
        if isinstance(result, Reading):
            own = {
                "tilt_angle": result.tilt_angle_deg,
                "status": result.status.value,
                "battery_level": result.battery_level_pct,
                "tilt_x": result.tilt_x_deg,
                "tilt_y": result.tilt_y_deg,
                "tilt_z": result.tilt_z_deg,
                "temperature": result.temperature_c,
                "rssi": result.rssi_dbm,
                "snr": result.snr_db,
                "sequence": result.sequence,
            }
            given = {name: element.get(name) for name in own}
            given["status"] = given["status"] or "normal"
            require(all(_same(own[name], given[name]) for name in own), "other values", own, given)
            unknown = element.keys() - own.keys() - {"device_id", "timestamp"}
            kept = {name: element[name] for name in unknown}
            require(result.extra == kept, "other fields kept", result.extra, kept)


def _same(own: object, given: object) -> bool:
    if isinstance(own, float):
        return isinstance(given, int | float) and own == float(given)
    return own == given and type(own) is type(given)


def require_round_trip(content: Content) -> None:
    """Require that the queues bring over what was sent, whole, and within their limit."""
    match content:
        case DeliveredReading():
            messages = [encode_delivered(*content)]
        case DeliveredEvent():
            messages = [encode_event(content)]
        case Refusal():
            messages = list(encode_refusal(content))
        case CommandEvent():
            messages = [encode_command_event(content)]
        case Receipt():
            messages = [encode_receipt(content)]
    require_sendable(messages)
    found = [decode(arrived(forward(arrived(one)))) for one in messages]
    if isinstance(content, Refusal):
        parts = [one for one in found if isinstance(one, Refusal)]
        require(b"".join(one.raw for one in parts) == content.raw, "other bytes of a refusal")
        others = {(p.delivery_id, p.device_id, p.topic, p.reason, p.detail, p.item) for p in parts}
        same = (content.delivery_id, content.device_id, content.topic, content.reason)
        require(
            others == {(*same, content.detail, content.item)},
            "another refusal came over",
            others,
            content,
        )
    else:
        require(found == [content], "something else came over", found, content)


def require_sendable(messages: Sequence[OutgoingMessage]) -> None:
    """Require what SQS asks: a message that it refuses would stay with the broker for ever."""
    _, failures = screen(messages, fifo=True)
    require(not failures, "no queue takes it", failures)
    for message in messages:
        for text in (message.group_id, message.deduplication_id):
            require(_QUEUE_ID.fullmatch(text or ""), "no group or deduplication id", text)


def arrived(message: OutgoingMessage) -> QueueMessage:
    """Return the message as a queue hands it over."""
    [found] = queue_messages([message])
    return found


def require_content(content: Content) -> None:
    """Require of the content of a queue message what the tables hold."""
    match content:
        case DeliveredReading():
            require_reading(content.reading)
            require_moment(content.received_at)
        case DeliveredEvent():
            require_event(content.event, _PARSER_DEPTH)
            require_moment(content.received_at)
        case Refusal():
            require_text(content.topic, "topic")
            require_text(content.detail, "detail")
            require_moment(content.received_at)
            require(0 <= content.part < content.parts < _INT32, "a part out of range")
            require(content.item is None or -_INT32 <= content.item < _INT32, "item out of range")
        case Receipt():
            require_moment(content.received_at)
            require(0 <= content.messages < _INT32, "messages out of range", content.messages)
            counts = content.items.values()
            require(all(type(n) is int and 0 < n < _INT32 for n in counts), "a count out of range")
        case CommandEvent():
            require_moment(content.occurred_at)
            require_text(content.detail, "detail")
            require(0 <= content.attempt < _INT32, "an attempt out of range")
