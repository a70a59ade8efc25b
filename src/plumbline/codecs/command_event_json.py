"""An event of a command as the body of a queue message."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from plumbline.domain.command_event import Arrival, CommandEvent, CommandEventKind, Sender
from plumbline.domain.delivery import UNATTRIBUTED
from plumbline.domain.reading import format_time, is_device_id

_MAX_ATTEMPT = 2**31 - 1
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))
_SENDER = ("dev_eui", "application", "tenant", "network_device_id")


def encode(event: CommandEvent) -> str:
    """Return the body."""
    members: dict[str, Any] = {
        "command_id": str(event.command_id),
        "device_id": event.device_id,
        "event": event.kind.value,
        "occurred_at": format_time(event.occurred_at),
        "attempt": event.attempt,
        "detail": event.detail,
        "confirmed": event.confirmed,
    }
    arrival = event.arrival
    if arrival is not None:
        members["arrival"] = {
            "delivery_id": str(arrival.delivery_id),
            "topic": arrival.topic,
            "raw": base64.b64encode(arrival.raw).decode(),
            "received_at": format_time(arrival.received_at),
        }
        if arrival.sender is not None:
            members["arrival"]["sender"] = {name: getattr(arrival.sender, name) for name in _SENDER}
    return _ENCODER.encode(members)


def decode(body: str) -> CommandEvent:
    """Read what `encode` has written.

    Raises:
        ValueError, KeyError, TypeError: It is something else.
    """
    members = json.loads(body)
    arrival = members.get("arrival")
    device_id = _text(members["device_id"])
    if not is_device_id(device_id) and (device_id != UNATTRIBUTED or arrival is None):
        msg = "not a device id"
        raise ValueError(msg)
    attempt, confirmed = members["attempt"], members["confirmed"]
    if type(attempt) is not int or not 0 <= attempt <= _MAX_ATTEMPT or type(confirmed) is not bool:
        msg = "no such attempt"
        raise ValueError(msg)
    return CommandEvent(
        UUID(members["command_id"]),
        device_id,
        CommandEventKind(members["event"]),
        _moment(members["occurred_at"]),
        attempt,
        _text(members["detail"]),
        confirmed,
        None if arrival is None else _arrival(arrival),
    )


def _arrival(members: dict[str, Any]) -> Arrival:
    sender = members.get("sender")
    return Arrival(
        delivery_id=UUID(members["delivery_id"]),
        topic=_text(members["topic"]),
        raw=base64.b64decode(members["raw"], validate=True),
        received_at=_moment(members["received_at"]),
        sender=None
        if sender is None
        else Sender(**{name: _text_or_none(sender[name]) for name in _SENDER}),
    )


def _text_or_none(value: Any) -> str | None:  # noqa: ANN401 - any JSON
    return None if value is None else _text(value)


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    if not isinstance(value, str) or "\0" in value:
        msg = "not a text that the database can hold"
        raise ValueError(msg)
    value.encode()  # a lone surrogate is a ValueError
    return value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        msg = "a time without a zone"
        raise ValueError(msg)
    return moment.astimezone(UTC)
