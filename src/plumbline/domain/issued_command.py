"""A command that was accepted: where it goes, and what has become of it."""

from dataclasses import dataclass
from datetime import datetime

from plumbline.domain.audit import AuditEntry
from plumbline.domain.command import Command, CommandState
from plumbline.domain.device import Lorawan, Protocol


@dataclass(frozen=True, slots=True)
class Target:
    """How a registered device is reached, and whether it may be.

    Attributes:
        lorawan: What a LoRaWAN device is known by; None for MQTT.
    """

    device_id: str
    protocol: Protocol
    disabled: bool
    lorawan: Lorawan | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """Who issues a command, and how a repetition of it is known.

    Attributes:
        issued_by: User name.
        idempotency_key: Of the caller, or None.
        request_hash: Of all that was asked with it.
        protocol: Of the device.
        audit: Written with the command.
    """

    issued_by: str
    idempotency_key: str | None
    request_hash: bytes
    protocol: Protocol
    audit: AuditEntry


@dataclass(frozen=True, slots=True)
class IssuedCommand:
    """A command and where it is; times are aware UTC.

    Attributes:
        position: Ascends with every command.
        attempts: How many times it was put into its queue.
        detail: Why it waits or has failed, or how it ended; may be empty.
        issued_by: Who issued it.
        sent_at: When the broker had it.
        transmitted_at: When a gateway had sent it by radio (LoRaWAN).
        acknowledged_at, failed_at, expired_at, cancelled_at: When that was heard or found.
        ended_at: Since when nothing more is expected of it, or None.
    """

    command: Command
    position: int
    protocol: Protocol
    state: CommandState
    attempts: int
    detail: str
    issued_by: str
    sent_at: datetime | None
    transmitted_at: datetime | None
    acknowledged_at: datetime | None
    failed_at: datetime | None
    expired_at: datetime | None
    cancelled_at: datetime | None
    ended_at: datetime | None

    @property
    def has_failed(self) -> bool:
        """Whether it is at its end, and not done."""
        return self.ended_at is not None and self.state in {
            CommandState.FAILED,
            CommandState.EXPIRED,
            CommandState.CANCELLED,
        }


@dataclass(frozen=True, slots=True)
class DueCommand:
    """A command with which the relay has something to do.

    Attributes:
        attempt: The number of the attempt that would be the next, from 1.
        lorawan: What a LoRaWAN device is known by; None for MQTT.
        expires: Its time is over, and no answer is under way any more.
        withdraws: It is over while a network server may still have it.
        relays: It is its device's turn.
    """

    command: Command
    protocol: Protocol
    state: CommandState
    attempt: int
    lorawan: Lorawan | None
    expires: bool
    withdraws: bool
    relays: bool
