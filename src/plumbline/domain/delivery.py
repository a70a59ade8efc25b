"""Identity of what the broker handed over, for the ledger.

A *batch* is what one drain took from the broker and sent to the queue before it acknowledged.
A *delivery* is one item of a batch: one reading (an array holds several), one event of a device,
or one refused message.
Its id goes with it through both queues into the row, so that a redelivery by a queue is told
from a second handing-over by the broker, and every delivery is accounted for exactly once.
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import NamedTuple
from uuid import UUID

from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading
from plumbline.domain.reason import Reason

UNATTRIBUTED = ""
"""The ledger's device id for messages whose topic names no valid device."""

_BATCH_HEX = 24  # 96 of a UUID's 128 bits; the other 32 are the item's index
_INDEX_BITS = 32
_BATCH_ID = re.compile(r"[0-9a-f]{24}", re.ASCII)


def new_batch_id(now: datetime) -> str:
    """Return 24 hex digits: 48 bits of Unix milliseconds, 48 random bits; sorts by time."""
    milliseconds = int(now.timestamp() * 1000)
    return f"{milliseconds:012x}{secrets.token_hex(6)}"


def is_batch_id(text: str) -> bool:
    """Tell whether the text is a batch id."""
    return _BATCH_ID.fullmatch(text) is not None


def delivery_id(batch_id: str, index: int) -> UUID:
    """Return the id of the batch's item ``index`` (0 to 2**32 - 1)."""
    return UUID(hex=f"{batch_id}{index:08x}")


def written_ids(batch_id: str) -> Iterator[str]:
    """Yield the ids of the batch's items, one after the other, as a UUID is written."""
    prefix = str(delivery_id(batch_id, 0))[:-8]
    return (f"{prefix}{index:08x}" for index in count())


def batch_of(delivery: UUID) -> str:
    """Return the batch id inside a delivery id."""
    return batch_named(batch_number(delivery))


def batch_number(delivery: UUID) -> int:
    """Return the batch id inside a delivery id as a number, which is quicker to count by."""
    return delivery.int >> _INDEX_BITS


def batch_named(number: int) -> str:
    """Return the batch id that is this number."""
    return f"{number:0{_BATCH_HEX}x}"


SAME_FRAME_WITHIN = timedelta(minutes=10)
"""How far apart two receptions of one radio frame can be: a device may send it again for minutes
until it is acknowledged. Counters that start again can make two frames equal, but not so soon."""


class DeliveredReading(NamedTuple):
    """A reading on its way to the store.

    Attributes:
        frame: The radio frame that brought it; None for a reading that came by itself. Within
            SAME_FRAME_WITHIN, readings of one frame are one, whatever time each reception has.
    """

    reading: Reading
    delivery_id: UUID
    received_at: datetime
    frame: UUID | None = None


@dataclass(frozen=True, slots=True)
class DeliveredEvent:
    """An event of a device on its way to the store; ``frame`` as of a reading."""

    event: DeviceEvent
    delivery_id: UUID
    received_at: datetime
    frame: UUID


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message (or one element of an array) that cannot become a reading.

    Attributes:
        delivery_id: Its delivery.
        device_id: From the topic, or UNATTRIBUTED.
        topic: As the broker gave it.
        raw: The whole message as received; or one part of it, see ``part``.
        reason: Code of the closed list.
        detail: One line for people.
        received_at: When the broker handed it over.
        item: Index in the message's array, or None for the whole message.
        part, parts: A raw message too large for one queue message travels in several.
    """

    delivery_id: UUID
    device_id: str
    topic: str
    raw: bytes
    reason: Reason
    detail: str
    received_at: datetime
    item: int | None = None
    part: int = 0
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one batch put into the queue, sent after the queue accepted all of it.

    A batch without a receipt was interrupted before any of it was acknowledged, so the broker
    hands all of it over again.

    Attributes:
        batch_id: 24 hex digits.
        received_at: When the batch was taken.
        messages: MQTT messages in the batch.
        items: Deliveries by device.
    """

    batch_id: str
    received_at: datetime
    messages: int
    items: dict[str, int] = field(default_factory=dict)
