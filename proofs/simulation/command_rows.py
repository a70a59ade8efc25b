"""What the database does with commands, in memory: the rules of the contract, not its SQL."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from plumbline.domain.audit import AuditEntry
from plumbline.domain.command import Command, CommandState
from plumbline.domain.command_event import CommandEvent, CommandEventKind
from plumbline.domain.delivery import Refusal
from plumbline.domain.device import NetworkServer
from plumbline.domain.issued_command import DueCommand, Issue, IssuedCommand, Target
from plumbline.domain.reason import Reason
from plumbline.errors import KeyReused, StoreUnavailable
from plumbline.ports import Clock
from proofs.simulation.faults import Faults

_FINAL = {
    CommandEventKind.ACKNOWLEDGED: CommandState.ACKNOWLEDGED,
    CommandEventKind.FAILED: CommandState.FAILED,
    CommandEventKind.EXPIRED: CommandState.EXPIRED,
}
_FIRST_WAIT_S, _LONGEST_WAIT_S = 5.0, 300.0


@dataclass(slots=True)
class Row:
    """A command as it is stored.

    Attributes:
        states: All that it has been in, in order.
        heard: Each kind of event to when it first happened.
    """

    command: Command
    position: int
    issue: Issue
    target: Target
    states: list[CommandState] = field(default_factory=lambda: [CommandState.QUEUED])
    heard: dict[CommandEventKind, datetime] = field(default_factory=dict)
    attempts: int = 0
    detail: str = ""
    confirmed: bool | None = None
    relayed_at: datetime | None = None
    next_attempt_at: datetime | None = None
    withdrawn_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def state(self) -> CommandState:
        """Where it is."""
        return self.states[-1]

    def move(self, state: CommandState) -> None:
        """Go there."""
        if state is not self.state:
            self.states.append(state)

    def issued(self) -> IssuedCommand:
        """Return it as those see it who have issued it."""
        heard = self.heard
        return IssuedCommand(
            self.command,
            self.position,
            self.target.protocol,
            self.state,
            self.attempts,
            self.detail,
            self.issue.issued_by,
            sent_at=heard.get(CommandEventKind.SENT),
            transmitted_at=heard.get(CommandEventKind.TRANSMITTED),
            acknowledged_at=heard.get(CommandEventKind.ACKNOWLEDGED),
            failed_at=heard.get(CommandEventKind.FAILED),
            expired_at=heard.get(CommandEventKind.EXPIRED),
            cancelled_at=self.ended_at if self.state is CommandState.CANCELLED else None,
            ended_at=self.ended_at,
        )


@dataclass(slots=True)
class TakenIn:
    """What became of answers, and how many events were new."""

    stored: list[CommandEvent] = field(default_factory=list)
    duplicates: list[CommandEvent] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    new: int = 0


class MemoryCommands:
    """Commands, what was heard of them, and the audit log.

    Args:
        targets: The registered devices.
        clock: The database's.
        faults: Strike whoever issues and relays.
        grace_s: How long an answer may be under way after a command's end.
    """

    _NAME = "commands"

    def __init__(
        self, targets: Iterable[Target], clock: Clock, faults: Faults, grace_s: float
    ) -> None:
        self.rows: dict[UUID, Row] = {}
        self.open: dict[UUID, Row] = {}
        self.audit: list[AuditEntry] = []
        self._targets = {target.device_id: target for target in targets}
        self._clock = clock
        self._faults = faults
        self._grace = timedelta(seconds=grace_s)
        self._keys: dict[tuple[str, str], UUID] = {}
        self._events: set[str] = set()
        self._answers: set[tuple[UUID, CommandEventKind]] = set()

    # --- as whoever issues them asks ------------------------------------------------------

    async def target(self, device_id: str) -> Target | None:
        """Return how a device is reached; see issue_command.CommandStore."""
        self._faults.require("database", StoreUnavailable)
        return self._targets.get(device_id)

    async def add(self, command: Command, issue: Issue) -> IssuedCommand:
        """Store a command with its audit entry, once a key; see issue_command.CommandStore."""
        self._faults.require("database", StoreUnavailable)
        self._faults.may_kill("before a command is stored")
        key = (issue.issued_by, issue.idempotency_key or str(command.command_id))
        known = self._keys.get(key)
        if known is not None:
            row = self.rows[known]
            if row.issue.request_hash != issue.request_hash:
                raise KeyReused(key[1])
            return row.issued()
        row = Row(command, len(self.rows) + 1, issue, self._targets[command.device_id])
        self.rows[command.command_id] = self.open[command.command_id] = row
        self._keys[key] = command.command_id
        self.audit.append(issue.audit)
        self._faults.may_kill("after a command was stored")
        if self._faults.strikes("no answer to a command's commit"):
            raise StoreUnavailable(key[1])
        return row.issued()

    async def get(self, command_id: UUID) -> IssuedCommand | None:
        """Return one command, or None."""
        row = self.rows.get(command_id)
        return None if row is None else row.issued()

    async def newest(
        self, device_id: str | None, *, state: str | None, before: int | None, limit: int
    ) -> Sequence[IssuedCommand]:
        """Nothing asks for them here."""
        raise NotImplementedError

    async def cancel(self, command_id: UUID, audit: AuditEntry) -> bool:
        """Take back what is in no queue; see issue_command.CommandStore."""
        self._faults.require("database", StoreUnavailable)
        row = self.open.get(command_id)
        if row is None or row.state is not CommandState.QUEUED or row.relayed_at is not None:
            return False
        self._end(row, CommandState.CANCELLED)
        self.audit.append(audit)
        return True

    # --- as the relay asks ----------------------------------------------------------------

    @contextmanager
    def turn(self) -> Iterator["MemoryTurn | None"]:
        """Open one turn, whose marks are kept when it ends well; see relay_commands."""
        self._faults.require("database", StoreUnavailable)
        if self._faults.strikes("another relay has its turn"):
            yield None
            return
        turn = MemoryTurn(self)
        yield turn
        if not turn.marked:
            return
        self._faults.may_kill("before the relay remembers")
        turn.commit()
        self._faults.may_kill("after the relay has remembered")
        if self._faults.strikes("no answer to the relay's commit"):
            raise StoreUnavailable(self._NAME)

    def due(self) -> list[DueCommand]:
        """Return what there is to do, by position."""
        now = self._clock.now()
        found: list[DueCommand] = []
        first: dict[str, int] = {}
        for row in self.open.values():
            over = row.command.expires_at <= now
            if not over or self._withdrawable(row):
                device_id = row.command.device_id
                first[device_id] = min(first.get(device_id, row.position), row.position)
        for row in self.open.values():
            over = row.command.expires_at <= now
            waits = row.state is CommandState.QUEUED and row.relayed_at is None
            one = DueCommand(
                row.command,
                row.target.protocol,
                row.state,
                row.attempts + 1,
                row.target.lorawan,
                expires=over and (waits or row.command.expires_at <= now - self._grace),
                withdraws=over and self._withdrawable(row),
                relays=not over
                and waits
                and (row.next_attempt_at is None or row.next_attempt_at <= now)
                and self._has_turn(row, first),
            )
            if one.expires or one.withdraws or one.relays:
                found.append(one)
        return found

    def next_due_s(self) -> float | None:
        """Return in how many seconds something becomes due by the clock; None for never."""
        now = self._clock.now()
        moments = [
            at
            for row in self.open.values()
            for at in (
                row.command.expires_at,
                row.command.expires_at + self._grace,
                row.next_attempt_at,
            )
            if at is not None and at > now
        ]
        return (min(moments) - now).total_seconds() if moments else None

    def expire(self, details: Mapping[UUID, str]) -> None:
        """End commands."""
        for command_id, detail in details.items():
            row = self.rows[command_id]
            row.detail = detail
            self._end(row, CommandState.EXPIRED)

    def mark_withdrawn(self, command_ids: Iterable[UUID]) -> None:
        """Remember that the queue has accepted their withdrawals."""
        for command_id in command_ids:
            self.rows[command_id].withdrawn_at = self._clock.now()

    def mark_relayed(self, command_ids: Iterable[UUID]) -> None:
        """Remember that the queues have accepted them."""
        for command_id in command_ids:
            row = self.rows[command_id]
            row.relayed_at, row.next_attempt_at, row.detail = self._clock.now(), None, ""
            row.attempts += 1

    def _end(self, row: Row, state: CommandState) -> None:
        row.move(state)
        row.ended_at = self._clock.now()
        self.open.pop(row.command.command_id, None)

    def _has_turn(self, row: Row, first: Mapping[str, int]) -> bool:
        return first[row.command.device_id] == row.position

    def _withdrawable(self, row: Row) -> bool:
        lorawan = row.target.lorawan
        return (
            lorawan is not None
            and lorawan.network_server is NetworkServer.THINGS_STACK
            and row.relayed_at is not None
            and row.withdrawn_at is None
        )

    # --- as the store of readings takes it in ---------------------------------------------

    def take_in(self, events: Iterable[CommandEvent]) -> TakenIn:
        """Keep events once each and move their commands forwards."""
        taken = TakenIn()
        unique: dict[str, CommandEvent] = {}
        for event in sorted(events, key=lambda event: (event.occurred_at, event.event_id)):
            unique.setdefault(event.event_id, event)
        new: dict[UUID, list[CommandEvent]] = {}
        for event in unique.values():
            row = self.rows.get(event.command_id)
            if event.arrival is not None and (row is None or not self._may_answer(event, row)):
                taken.refusals.append(_refusal(event))
            elif row is None or event.event_id in self._events:
                continue
            elif event.arrival is not None and (event.command_id, event.kind) in self._answers:
                taken.duplicates.append(event)
            else:
                self._events.add(event.event_id)
                new.setdefault(event.command_id, []).append(event)
                taken.new += 1
                if event.arrival is not None:
                    self._answers.add((event.command_id, event.kind))
                    taken.stored.append(event)
        for command_id, of_command in new.items():
            self._apply(self.rows[command_id], of_command)
        return taken

    def _may_answer(self, event: CommandEvent, row: Row) -> bool:
        sender = None if event.arrival is None else event.arrival.sender
        lorawan = row.target.lorawan
        if sender is None or lorawan is None:
            return sender is None and event.device_id == row.command.device_id
        if sender.dev_eui is not None:
            return sender.dev_eui == lorawan.dev_eui
        return (sender.application, sender.tenant, sender.network_device_id) == (
            lorawan.application,
            lorawan.tenant or "",
            lorawan.network_device_id,
        )

    def _apply(self, row: Row, events: Sequence[CommandEvent]) -> None:
        """Move a command forwards; what has ended stays as it is."""
        now = self._clock.now()
        for event in events:
            known = row.heard.get(event.kind, event.occurred_at)
            row.heard[event.kind] = min(known, event.occurred_at)
            if event.kind is CommandEventKind.SENT:
                row.confirmed = event.confirmed
        if row.ended_at is not None:
            return
        final = next((event for event in events if event.kind in _FINAL), None)
        missed = max(
            (e.attempt for e in events if e.kind is CommandEventKind.UNDELIVERED), default=0
        )
        if final is not None:
            row.detail = final.detail
            self._end(row, _FINAL[final.kind])
        elif CommandEventKind.TRANSMITTED in row.heard and row.confirmed is False:
            self._end(row, CommandState.SENT)
        elif row.heard.keys() & {CommandEventKind.SENT, CommandEventKind.TRANSMITTED}:
            row.move(CommandState.SENT)
        elif missed > row.attempts or (missed == row.attempts and row.relayed_at is not None):
            row.attempts, row.relayed_at = missed, None
            wait_s = min(_FIRST_WAIT_S * 2.0 ** min(missed - 1, 10), _LONGEST_WAIT_S)
            row.next_attempt_at = now + timedelta(seconds=wait_s)


class MemoryTurn:
    """One turn of the relay; what it marks counts from its commit on."""

    def __init__(self, commands: MemoryCommands) -> None:
        self._commands = commands
        self._expired: dict[UUID, str] = {}
        self._withdrawn: list[UUID] = []
        self._relayed: list[UUID] = []

    def due(self) -> Sequence[DueCommand]:
        """Return what there is to do; see relay_commands.CommandTurn."""
        return self._commands.due()

    def expire(self, details: Mapping[UUID, str]) -> None:
        """End commands, each with a line for people."""
        self._expired |= details

    def mark_withdrawn(self, command_ids: Sequence[UUID]) -> None:
        """Remember that the queue has accepted their withdrawals."""
        self._withdrawn += command_ids

    def mark_relayed(self, command_ids: Sequence[UUID]) -> None:
        """Remember that the queues have accepted them."""
        self._relayed += command_ids

    def next_due_s(self) -> float | None:
        """Return in how many seconds something becomes due by the clock; None for never."""
        return self._commands.next_due_s()

    @property
    def marked(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self._expired or self._withdrawn or self._relayed)

    def commit(self) -> None:
        """Keep what was marked."""
        self._commands.expire(self._expired)
        self._commands.mark_withdrawn(self._withdrawn)
        self._commands.mark_relayed(self._relayed)


def _refusal(event: CommandEvent) -> Refusal:
    arrival = event.arrival
    assert arrival is not None  # noqa: S101 - only answers are refused
    return Refusal(
        delivery_id=arrival.delivery_id,
        device_id=event.device_id,
        topic=arrival.topic,
        raw=arrival.raw,
        reason=Reason.UNKNOWN_COMMAND,
        detail=str(event.command_id),
        received_at=arrival.received_at,
    )
