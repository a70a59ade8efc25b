"""Messages that could not become readings."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One refused message, or one refused element of an array, without its bytes.

    Attributes:
        entry_id: Ascending in the order in which they came in.
        delivery_id: The delivery that ended here.
        device_id: From the topic, or "".
        topic: As the broker gave it.
        reason: A code of the closed list.
        detail: One line for people.
        item: Index in the message's array, or None for the whole message.
        received_at: When the broker handed it over.
        quarantined_at: When it was recorded.
        replayed_at: When it was sent through the pipeline again, or None.
        size_bytes: Of what is there of the message.
        complete: Whether all parts of a large message have arrived.
    """

    entry_id: int
    delivery_id: UUID
    device_id: str
    topic: str
    reason: str
    detail: str
    item: int | None
    received_at: datetime
    quarantined_at: datetime
    replayed_at: datetime | None
    size_bytes: int
    complete: bool


@dataclass(frozen=True, slots=True)
class QuarantinedMessage:
    """An entry with its bytes.

    Attributes:
        entry: What is known of it.
        raw: The whole message as received (of an array too); its beginning, if not complete.
    """

    entry: QuarantineEntry
    raw: bytes
