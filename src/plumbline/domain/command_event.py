"""What is heard of a command on its way: from the handler that sends it, and from the device."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import NAMESPACE_OID, UUID, uuid5


class CommandEventKind(StrEnum):
    """What has happened; the first three are a handler's word, the others the receiver's."""

    SENT = "sent"
    """A broker has it, with somebody there to take it."""
    UNDELIVERED = "undelivered"
    """Nobody was there to take it: it waits, to be tried again."""
    EXPIRED = "expired"
    """Its time was over before it was sent."""
    TRANSMITTED = "transmitted"
    """A gateway has sent it by radio."""
    ACKNOWLEDGED = "acknowledged"
    """The device has done it, or has its bytes where LoRaWAN is all that answers."""
    FAILED = "failed"
    """It cannot be done, and nobody tries again."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who answers for a device, as its network server names it; None for what is not said.

    Attributes:
        dev_eui: 16 hexadecimal digits, lower case.
        application, tenant, network_device_id: The Things Stack's names.
    """

    dev_eui: str | None = None
    application: str | None = None
    tenant: str | None = None
    network_device_id: str | None = None


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """What a message of a device or of its network server says about a command.

    Attributes:
        detail: One line for people; may be empty.
        occurred_at: When, where the message says so; aware UTC.
        sender: None where the topic's device itself has answered.
    """

    command_id: UUID
    kind: CommandEventKind
    detail: str = ""
    occurred_at: datetime | None = None
    sender: Sender | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """How an answer reached us: it is a delivery, and ends in the ledger.

    Attributes:
        delivery_id: Its delivery.
        topic, raw: As the broker gave it, for the quarantine.
        received_at: When the broker handed it over.
        sender: See CommandAnswer.
    """

    delivery_id: UUID
    topic: str
    raw: bytes
    received_at: datetime
    sender: Sender | None = None


@dataclass(frozen=True, slots=True)
class CommandEvent:
    """One event of one command.

    Attributes:
        command_id: Of the command.
        device_id: The command's device; of an answer, the one that the topic names.
        kind: What has happened.
        occurred_at: When, aware UTC.
        attempt: Which attempt to send it this is about, from 1; 0 for an answer.
        detail: One line for people; may be empty.
        confirmed: Of ``sent``: whether the device will answer.
        arrival: Of an answer; None for a handler's event.
    """

    command_id: UUID
    device_id: str
    kind: CommandEventKind
    occurred_at: datetime
    attempt: int = 0
    detail: str = ""
    confirmed: bool = True
    arrival: Arrival | None = None

    @property
    def event_id(self) -> str:
        """What tells a repetition of this event from another one."""
        if self.arrival is not None:
            return str(self.arrival.delivery_id)
        return f"{self.command_id}.{self.attempt}.{self.kind}"

    @property
    def delivery_id(self) -> UUID:
        """Its delivery; of a handler's event, which is none, an id made from the event's."""
        if self.arrival is not None:
            return self.arrival.delivery_id
        return uuid5(NAMESPACE_OID, self.event_id)
