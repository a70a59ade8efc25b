"""Alarms first, without changing the order of any device's messages."""

from collections.abc import Iterable, Sequence
from enum import Enum, auto

import msgspec

from plumbline.ports import OutgoingMessage


class ItemKind(Enum):
    """What a delivery has become."""

    READING = auto()
    EVENT = auto()
    """Of a device that has no angle to tell."""
    REFUSAL = auto()
    ANSWER = auto()
    """To a command."""


class PendingItem(msgspec.Struct, frozen=True):
    """One delivery of a batch before it is sent.

    Attributes:
        source: Index of the broker message it came from.
        device_id: Whose it is, or UNATTRIBUTED.
        kind: What it has become.
        alarm: Whether it must go ahead of devices without an alarm.
        messages: What is sent for it; several for a large refused message.
    """

    source: int
    device_id: str
    kind: ItemKind
    alarm: bool
    messages: Sequence[OutgoingMessage]


def alarms_first(items: Iterable[PendingItem]) -> list[PendingItem]:
    """Put all items of the devices that have an alarm in the batch before all others.

    Among the devices with an alarm, and among the others, the order of receipt stays.
    """
    items = list(items)
    alarmed = {item.device_id for item in items if item.alarm}
    if not alarmed:
        return items
    return sorted(items, key=lambda item: item.device_id not in alarmed)
