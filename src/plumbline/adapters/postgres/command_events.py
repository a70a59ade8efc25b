"""Takes in what was heard of commands: a step of the transaction that persists a batch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from plumbline.adapters.postgres.binary_arrays import Integers, Moments, Texts, Uuids
from plumbline.adapters.postgres.persisting import accounted
from plumbline.adapters.postgres.queries import load
from plumbline.domain.command_event import CommandEvent, Sender
from plumbline.domain.delivery import Refusal
from plumbline.domain.reason import Reason

_SQL = load("command_events.sql")

_Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class CommandOwner:
    """Whose a command is, and as whom its network server answers for it."""

    device_id: str
    sender: Sender


@dataclass(slots=True)
class TakenIn:
    """What became of events.

    Attributes:
        new: Those that were not known; their commands have moved.
        answers: Of these, the answers.
        duplicates: Answers equal to one that is known.
        refusals: Answers to no command of ours, or to one of another device.
    """

    new: list[CommandEvent] = field(default_factory=list)
    duplicates: list[CommandEvent] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def answers(self) -> list[CommandEvent]:
        """Of the new events, those that came from the broker."""
        return [event for event in self.new if event.arrival is not None]


def take_in(connection: _Connection, events: Iterable[CommandEvent]) -> TakenIn:
    """Keep events once each and move their commands forwards.

    A handler's event of a command that is gone is dropped: it ended more than 90 days ago.
    """
    # Of equal ones in a batch, the earliest counts.
    unique: dict[str, CommandEvent] = {}
    for event in sorted(events, key=lambda event: (event.occurred_at, event.event_id)):
        unique.setdefault(event.event_id, event)
    taken = TakenIn()
    if not unique:
        return taken
    owners = _lock(connection, sorted({event.command_id for event in unique.values()}))
    ours: list[CommandEvent] = []
    for event in unique.values():
        refusal = _refusal(event, owners)
        if refusal is not None:
            taken.refusals.append(refusal)
        elif event.command_id in owners:
            ours.append(event)
    if ours:
        new = _insert(connection, ours)
        taken.new = [event for event in ours if event.event_id in new]
        taken.duplicates = _settle_duplicates(
            connection, [e for e in ours if e.event_id not in new and e.arrival is not None]
        )
    if taken.new:
        _apply(connection, taken.new)
    return taken


def _lock(connection: _Connection, command_ids: Sequence[UUID]) -> dict[UUID, CommandOwner]:
    rows = connection.execute(_SQL["lock"], {"command_id": Uuids(command_ids)})
    return {
        command_id: CommandOwner(device_id, Sender(*sender))
        for command_id, device_id, *sender in rows
    }


def _refusal(event: CommandEvent, owners: Mapping[UUID, CommandOwner]) -> Refusal | None:
    arrival = event.arrival
    if arrival is None:
        return None
    owner = owners.get(event.command_id)
    if owner is None:
        detail = f"no command {event.command_id}"
    elif not _may_answer(event, owner):
        detail = f"command {event.command_id} is of another device"
    else:
        return None
    return Refusal(
        delivery_id=arrival.delivery_id,
        device_id=event.device_id,
        topic=arrival.topic,
        raw=arrival.raw,
        reason=Reason.UNKNOWN_COMMAND,
        detail=detail,
        received_at=arrival.received_at,
    )


def _may_answer(event: CommandEvent, owner: CommandOwner) -> bool:
    sender = None if event.arrival is None else event.arrival.sender
    if sender is None:
        return event.device_id == owner.device_id
    if sender.dev_eui is not None:
        return sender.dev_eui == owner.sender.dev_eui
    known = owner.sender
    return (sender.application, sender.tenant, sender.network_device_id) == (
        known.application,
        known.tenant or "",
        known.network_device_id,
    )


def _insert(connection: _Connection, events: Sequence[CommandEvent]) -> set[str]:
    rows = connection.execute(
        _SQL["insert"],
        {
            "event_id": Texts([e.event_id for e in events]),
            "delivery_id": Texts([None if e.arrival is None else e.event_id for e in events]),
            **_columns(events),
        },
    )
    return {event_id for (event_id,) in rows}


def _settle_duplicates(
    connection: _Connection, events: Sequence[CommandEvent]
) -> list[CommandEvent]:
    """Return those that are new as duplicates; the rest had its outcome before."""
    if not events:
        return []
    known = accounted(connection, [e.delivery_id for e in events])
    fresh = [e for e in events if e.delivery_id not in known]
    if fresh:
        deliveries = sorted(e.delivery_id for e in fresh)
        connection.execute(_SQL["settle"], {"delivery_id": Uuids(deliveries)})
    return fresh


def _apply(connection: _Connection, events: Sequence[CommandEvent]) -> None:
    confirmed = Integers([int(e.confirmed) for e in events])
    connection.execute(_SQL["apply"], {"confirmed": confirmed, **_columns(events)})


def _columns(events: Sequence[CommandEvent]) -> dict[str, object]:
    return {
        "command_id": Uuids([e.command_id for e in events]),
        "event": Texts([e.kind for e in events]),
        "attempt": Integers([e.attempt for e in events]),
        "detail": Texts([e.detail for e in events]),
        "occurred_at": Moments([e.occurred_at for e in events]),
    }
