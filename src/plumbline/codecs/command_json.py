"""A command as JSON: what travels in the command queues and to MQTT devices."""

import json

from plumbline.domain.command import Command
from plumbline.domain.reading import format_time


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
