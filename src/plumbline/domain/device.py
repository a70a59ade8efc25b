"""A device that may send readings."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Protocol(StrEnum):
    """How a device reaches the broker."""

    MQTT = "mqtt"
    """As a client of its own, with its own password."""
    LORAWAN = "lorawan"
    """Through a network server; it has no password at the broker."""


@dataclass(frozen=True, slots=True)
class Device:
    """An entry of the registry.

    Attributes:
        device_id: Also the user name at the broker.
        name: For people; may be empty.
        protocol: How it reaches the broker.
        created_at: When it was added, aware UTC.
        rotated_at: When it last got a new password, or None.
        disabled_at: Since when it may not connect, or None.
    """

    device_id: str
    name: str
    protocol: Protocol
    created_at: datetime
    rotated_at: datetime | None = None
    disabled_at: datetime | None = None
