"""A command as JSON: what travels in the command queues and to MQTT devices."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from plumbline.codecs.strict_json import AmbiguousObject, parse, parse_time
from plumbline.domain.command import Command, Verb, wrong_params
from plumbline.domain.reading import format_time
from plumbline.errors import InvalidMessage, InvalidPayload

_MEMBERS = frozenset({"command_id", "command", "params", "issued_at", "expires_at"})


def encode(command: Command) -> str:
    """Return the JSON of ``tilt/{device_id}/commands``."""
    return json.dumps(
        {
            "command_id": str(command.command_id),
            "command": command.verb.value,
            "params": dict(command.params),
            "issued_at": format_time(command.issued_at),
            "expires_at": format_time(command.expires_at),
        },
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    )


def decode(body: str, device_id: str) -> Command:
    """Read what `encode` has written, and nothing else.

    Raises:
        InvalidMessage: Not such a command; the message says what is wrong.
    """
    try:
        members = parse(body.encode(errors="surrogatepass"), None)
    except InvalidPayload as error:
        msg = f"not a command: {error}"
        raise InvalidMessage(msg) from error
    if type(members) is not dict or members.keys() != _MEMBERS:
        msg = f"not a command: an object with {', '.join(sorted(_MEMBERS))}"
        raise InvalidMessage(msg)
    verb = _verb(members["command"])
    return Command(
        _uuid(members["command_id"]),
        device_id,
        verb,
        _params(verb, members["params"]),
        issued_at=_moment(members, "issued_at"),
        expires_at=_moment(members, "expires_at"),
    )


def _uuid(value: object) -> UUID:
    try:
        command_id = UUID(value) if isinstance(value, str) else None
    except ValueError:
        command_id = None
    if command_id is None or str(command_id) != value:
        msg = "command_id: a UUID"
        raise InvalidMessage(msg)
    return command_id


def _verb(value: object) -> Verb:
    if not isinstance(value, str) or value not in set(Verb):
        msg = f"command: one of {', '.join(Verb)}"
        raise InvalidMessage(msg)
    return Verb(value)


def _params(verb: Verb, value: object) -> dict[str, Any]:
    if type(value) is AmbiguousObject or not isinstance(value, dict):
        msg = "params: an object"
        raise InvalidMessage(msg)
    if wrong := wrong_params(verb, value):
        raise InvalidMessage(wrong[0])
    return value


def _moment(members: dict[str, Any], name: str) -> datetime:
    value = members[name]
    try:
        moment = parse_time(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        msg = f"{name}: RFC 3339 with offset"
        raise InvalidMessage(msg)
    return moment
