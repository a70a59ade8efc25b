"""Strict JSON of a network server's events, and typed access to their members."""

import base64
import binascii
import re
from datetime import datetime
from typing import Any
from uuid import UUID

from plumbline.codecs.strict_json import AmbiguousObject, is_storable_text, parse, parse_time
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

MAX_EVENT_BYTES = 65_536
"""An event of twenty gateways with a decoded object is a quarter of it."""

_EUI = re.compile(r"[0-9A-Fa-f]{16}", re.ASCII)
_LINE_LENGTH = 300


def parse_event(payload: bytes) -> dict[str, Any]:
    """Parse the JSON object of one event.

    Raises:
        InvalidPayload: Empty, larger than MAX_EVENT_BYTES, not UTF-8, not strict JSON, no object.
    """
    event = parse(payload, MAX_EVENT_BYTES)
    require_unambiguous(event)
    if type(event) is not dict:
        raise InvalidPayload(Reason.NOT_AN_OBJECT, type(event).__name__)
    return event


def require_unambiguous(document: Any) -> None:  # noqa: ANN401 - any JSON
    """Refuse objects in which a key stands twice, however deep.

    Raises:
        InvalidPayload: There is one.
    """
    pending = [document]
    while pending:
        value = pending.pop()
        if type(value) is AmbiguousObject:
            raise InvalidPayload(Reason.DUPLICATE_KEY)
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def member(parent: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object; empty where it is absent.

    Raises:
        InvalidPayload: It is something else.
    """
    value = parent.get(name)
    if value is None:
        return {}
    if type(value) is not dict:
        raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: an object")
    return value


def has_path(parent: dict[str, Any], *names: str) -> bool:
    """Tell whether a member stands at the path, whatever it is."""
    value: object = parent
    for name in names:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def members(parent: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return an array of objects; empty where it is absent.

    Raises:
        InvalidPayload: It is something else.
    """
    value = parent.get(name)
    if value is None:
        return []
    if type(value) is not list or any(type(item) is not dict for item in value):
        raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: an array of objects")
    return value


def text(parent: dict[str, Any], name: str) -> str:
    """Return a string; empty where it is absent.

    Raises:
        InvalidPayload: It is something else, or PostgreSQL cannot store it.
    """
    value = parent.get(name)
    if value is None:
        return ""
    if type(value) is not str:
        raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: a string")
    if not is_storable_text(value):
        raise InvalidPayload(Reason.INVALID_TEXT, name)
    return value


def eui(parent: dict[str, Any], name: str) -> str:
    """Return a DevEUI: 16 hexadecimal digits, in lower case.

    Raises:
        InvalidPayload: Missing, or something else.
    """
    value = text(parent, name)
    if not value:
        raise InvalidPayload(Reason.MISSING_FIELD, name)
    if not _EUI.fullmatch(value):
        raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: 16 hexadecimal digits")
    return value.lower()


def uuid(parent: dict[str, Any], name: str) -> UUID | None:
    """Return a UUID in its usual form; None where it is absent or empty.

    Raises:
        InvalidPayload: It is something else.
    """
    value = text(parent, name)
    if not value:
        return None
    try:
        found = UUID(value)
    except ValueError:
        found = None
    if found is None or str(found) != value.lower():
        raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: a UUID")
    return found


def line(parent: dict[str, Any], name: str) -> str:
    """Return a text for people on one line, cut to 300 characters; empty where it is absent.

    Raises:
        InvalidPayload: It is something else, or PostgreSQL cannot store it.
    """
    value = text(parent, name)[:_LINE_LENGTH]
    return "".join(char if char.isprintable() else " " for char in value)


def counter(parent: dict[str, Any], name: str, maximum: int) -> int:
    """Return a whole number; 0 where it is absent, as protobuf's JSON leaves zeros out.

    Raises:
        InvalidPayload: It is something else.
    """
    value = parent.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= maximum:
        raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: a whole number, 0 to {maximum}")
    return value


def number(parent: dict[str, Any], name: str) -> float | None:
    """Return a number; None where it is absent.

    Raises:
        InvalidPayload: It is something else.
    """
    value = parent.get(name)
    if value is None:
        return None
    if type(value) not in (int, float):
        raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: a number")
    try:
        return float(value)
    except OverflowError as error:
        raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: out of range") from error


def data(parent: dict[str, Any], name: str) -> bytes:
    """Return bytes in base64; none where it is absent.

    Raises:
        InvalidPayload: It is something else.
    """
    try:
        return base64.b64decode(text(parent, name), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: base64") from error


def moment(parent: dict[str, Any], name: str) -> datetime | None:
    """Return a time, aware UTC; None where it is absent. Digits beyond microseconds are cut.

    Raises:
        InvalidPayload: It is no RFC 3339 time with offset.
    """
    value = parent.get(name)
    if value is None:
        return None
    try:
        moment = parse_time(value) if type(value) is str else None
    except (ValueError, OverflowError) as error:
        raise InvalidPayload(Reason.INVALID_TIMESTAMP, f"{name}: no such moment") from error
    if moment is None:
        raise InvalidPayload(Reason.INVALID_TIMESTAMP, f"{name}: RFC 3339 with offset")
    return moment
