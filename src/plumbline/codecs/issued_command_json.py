"""What has become of a command, as JSON for people and programs."""

from datetime import datetime
from typing import Any

from plumbline.domain.issued_command import IssuedCommand
from plumbline.domain.reading import format_time


def members(issued: IssuedCommand) -> dict[str, Any]:
    """Return the members of the command's object; times RFC 3339 in UTC, or None."""
    command = issued.command
    return {
        "command_id": str(command.command_id),
        "device_id": command.device_id,
        "protocol": issued.protocol.value,
        "command": command.verb.value,
        "params": dict(command.params),
        "state": issued.state.value,
        "detail": issued.detail,
        "attempts": issued.attempts,
        "issued_by": issued.issued_by,
        "issued_at": format_time(command.issued_at),
        "expires_at": format_time(command.expires_at),
        "sent_at": _time(issued.sent_at),
        "transmitted_at": _time(issued.transmitted_at),
        "acknowledged_at": _time(issued.acknowledged_at),
        "failed_at": _time(issued.failed_at),
        "expired_at": _time(issued.expired_at),
        "cancelled_at": _time(issued.cancelled_at),
        "ended_at": _time(issued.ended_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
