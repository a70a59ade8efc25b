"""Puts stored commands into the queues of their protocols, one on its way for each device.

What waits here can be taken back, and expires to the moment; what a queue has is only as many as
there are devices. A crash after a queue accepted a command and before that is remembered repeats it
with the same deduplication id; where the queue has forgotten that, too, the device knows the
command by its id.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from plumbline.codecs.command_queue import encode, encode_withdrawal
from plumbline.domain import device
from plumbline.domain.command import CommandState
from plumbline.domain.issued_command import DueCommand
from plumbline.errors import QueueUnavailable
from plumbline.ports import OutgoingMessage, Queue

COMMAND_QUEUES: Mapping[device.Protocol, str] = {
    device.Protocol.MQTT: "mqtt-command",
    device.Protocol.LORAWAN: "lorawan-command",
}
"""The queue of each protocol."""


class CommandTurn(Protocol):
    """One turn of the relay; what it marks is kept when it ends well."""

    def due(self) -> Sequence[DueCommand]:
        """Return the first that something is to be done with, by position; nobody cancels them."""
        ...

    def expire(self, details: Mapping[UUID, str]) -> None:
        """End commands, each with a line for people."""
        ...

    def mark_withdrawn(self, command_ids: Sequence[UUID]) -> None:
        """Remember that the queue has accepted their withdrawals."""
        ...

    def mark_relayed(self, command_ids: Sequence[UUID]) -> None:
        """Remember that the queues have accepted them."""
        ...

    def next_due_s(self) -> float | None:
        """Return in how many seconds something becomes due by the clock; None for never."""
        ...


class CommandOutbox(Protocol):
    """Where commands wait; every method raises StoreUnavailable where it cannot serve."""

    def turn(self) -> AbstractContextManager[CommandTurn | None]:
        """Open one turn; None while another process has its own."""
        ...


@dataclass(frozen=True, slots=True)
class RelayReport:
    """What one turn did.

    Attributes:
        relayed, withdrawn, expired: Commands.
        next_due_s: Seconds until something becomes due by the clock; None for nothing known.
    """

    relayed: int = 0
    withdrawn: int = 0
    expired: int = 0
    next_due_s: float | None = None

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return not self.relayed and not self.withdrawn and not self.expired


class RelayCommands:
    """The relay.

    Args:
        outbox: Where commands wait.
        queues: By name.
    """

    def __init__(self, outbox: CommandOutbox, queues: Mapping[str, Queue]) -> None:
        self._outbox = outbox
        self._queues = queues

    def run(self) -> RelayReport:
        """Take one turn; after one that was not idle there may be more to do.

        Raises:
            StoreUnavailable: Nothing is remembered; what the queues have accepted is repeated.
            QueueUnavailable: A queue accepts nothing; what is for it goes on waiting.
        """
        with self._outbox.turn() as turn:
            if turn is None:
                return RelayReport()
            due = turn.due()
            expired = {
                one.command.command_id: _why_expired(one.state) for one in due if one.expires
            }
            sending = _Sending(self._queues)
            withdrawn = sending.withdraw([one for one in due if one.withdraws])
            relayed = sending.relay([one for one in due if one.relays])
            if expired:
                turn.expire(expired)
            if withdrawn:
                turn.mark_withdrawn(withdrawn)
            if relayed:
                turn.mark_relayed(relayed)
            report = RelayReport(len(relayed), len(withdrawn), len(expired), turn.next_due_s())
        if sending.problem is not None:
            raise sending.problem
        return report


class _Sending:
    """Sends to each queue on its own; what the others have accepted is remembered all the same."""

    def __init__(self, queues: Mapping[str, Queue]) -> None:
        self._queues = queues
        self.problem: QueueUnavailable | None = None

    def withdraw(self, due: Sequence[DueCommand]) -> list[UUID]:
        ours = [(one.command, one.lorawan) for one in due if one.lorawan is not None]
        messages = [
            encode_withdrawal(command.command_id, command.device_id, lorawan)
            for command, lorawan in ours
        ]
        ids = [command.command_id for command, _ in ours]
        return self._send(ids, messages, COMMAND_QUEUES[device.Protocol.LORAWAN])

    def relay(self, due: Sequence[DueCommand]) -> list[UUID]:
        accepted = []
        for protocol, name in COMMAND_QUEUES.items():
            ours = [one for one in due if one.protocol is protocol]
            messages = [encode(one.command, one.attempt, one.lorawan) for one in ours]
            accepted += self._send([one.command.command_id for one in ours], messages, name)
        return accepted

    def _send(
        self, command_ids: Sequence[UUID], messages: Sequence[OutgoingMessage], name: str
    ) -> list[UUID]:
        """Return the ids of those that the queue has accepted."""
        if not messages:
            return []
        try:
            failed = {failure.index for failure in self._queues[name].send(messages)}
        except QueueUnavailable as error:
            self.problem = error
            return []
        return [one for index, one in enumerate(command_ids) if index not in failed]


def _why_expired(state: CommandState) -> str:
    return "sent, and no answer came" if state is CommandState.SENT else ""
