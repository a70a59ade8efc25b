"""Whether a command was lost, doubled, overtaken, late, or has a state that is not true."""

import itertools
from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import timedelta
from uuid import UUID

from plumbline.domain.command import CommandState as State
from plumbline.domain.command_event import CommandEventKind as Kind
from plumbline.domain.device import NetworkServer, Protocol
from proofs.simulation.command_rows import Row
from proofs.simulation.commanding import Commanding

_REMEMBERED = timedelta(minutes=5)
"""For so long a FIFO queue knows what it has been given."""

_LONGEST_JUMP = timedelta(minutes=15)
_WITHDRAWN_WITHIN = timedelta(hours=4)
_LEGAL = {
    (State.QUEUED,),
    (State.QUEUED, State.CANCELLED),
    *((State.QUEUED, end) for end in (State.ACKNOWLEDGED, State.FAILED, State.EXPIRED)),
    (State.QUEUED, State.SENT),
    *((State.QUEUED, State.SENT, end) for end in (State.ACKNOWLEDGED, State.FAILED, State.EXPIRED)),
}
"""All histories of a command's state."""


def judge_commands(life: Commanding, refused: AbstractSet[bytes]) -> Iterator[str]:
    """Yield what went wrong, a line each.

    Args:
        life: What was told.
        refused: Payloads in quarantine.
    """
    yield from _issued(life)
    yield from _doubled(life)
    yield from _overtaken(life)
    yield from _late(life)
    for row in life.rows.rows.values():
        yield from (f"{wrong}: {_name(row)}" for wrong in _states(life, row))
    yield from _answers(life, refused)


def pending(life: Commanding) -> Iterator[str]:
    """Yield the commands that still wait, long after the time of an answer is over."""
    for row in life.rows.open.values():
        yield f"pending after its end: {_name(row)}"


def _issued(life: Commanding) -> Iterator[str]:
    """Each request is one command, and each command has its entry in the audit log."""
    audited = Counter(
        entry.target.split()[1] for entry in life.rows.audit if entry.action == "command.send"
    )
    answered = Counter(life.seen.answered.values())
    for command_id, row in life.rows.rows.items():
        if audited[str(command_id)] != 1:
            yield f"{audited[str(command_id)]} audit entries: {_name(row)}"
        if answered[command_id] > 1:
            yield f"{answered[command_id]} requests are one command: {_name(row)}"
    for command_id in answered.keys() - life.rows.rows.keys():
        yield f"issued, and not stored: {command_id}"


def _doubled(life: Commanding) -> Iterator[str]:
    """An attempt is one message while the queue knows it, and a device does a command once."""
    for (command_id, attempt), messages in life.seen.received.items():
        times = sorted(messages.values())
        if any(later - at < _REMEMBERED for at, later in itertools.pairwise(times)):
            yield f"attempt {attempt} was put into its queue twice: {command_id}"
    published = Counter(one.command_id for one in life.seen.sent)
    for device_id, done in life.witness.executed.items():
        for command_id, count in Counter(command_id for command_id, _ in done).items():
            row = life.rows.rows[command_id]
            if row.command.device_id != device_id:
                yield f"done by {device_id}: {_name(row)}"
            # A device behind LoRaWAN knows no ids: it does what it is sent.
            allowed = 1 if row.target.protocol is Protocol.MQTT else published[command_id]
            if count > max(1, allowed):
                yield f"done {count} times: {_name(row)}"


def _overtaken(life: Commanding) -> Iterator[str]:
    """Of each device, commands are published and done in the order of their issue."""
    newest: dict[str, int] = {}
    seen: set[UUID] = set()
    for one in life.seen.sent:
        row = life.rows.rows[one.command_id]
        # Only what somebody was there to take is on its way.
        if one.command_id in seen or not one.taken:
            continue
        seen.add(one.command_id)
        if row.position < newest.get(one.device_id, 0):
            yield f"published behind a later one: {_name(row)}"
        newest[one.device_id] = max(newest.get(one.device_id, 0), row.position)
    for done in life.witness.executed.values():
        firsts = list(dict.fromkeys(command_id for command_id, _ in done))
        positions = [life.rows.rows[command_id].position for command_id in firsts]
        for command_id, at, later in zip(firsts[1:], positions, positions[1:], strict=False):
            if later < at:
                yield f"done behind a later one: {_name(life.rows.rows[command_id])}"


def _late(life: Commanding) -> Iterator[str]:
    """Nothing is published after its end, nor kept or done beyond it."""
    for one in life.seen.sent:
        row = life.rows.rows[one.command_id]
        left_s = (row.command.expires_at - one.by_clock).total_seconds()
        if left_s <= 0:
            yield f"published {-left_s:.0f} s after its end: {_name(row)}"
        elif one.expires_in_s is None or one.expires_in_s > max(1, left_s):
            kept = f"may be kept for {one.expires_in_s} s, {left_s:.0f} are left"
            yield f"{kept}: {_name(row)}"
    for done in life.witness.executed.values():
        for command_id, at in done:
            row = life.rows.rows[command_id]
            lorawan = row.target.lorawan
            allowed = _LONGEST_JUMP
            if lorawan is not None and lorawan.network_server is NetworkServer.THINGS_STACK:
                allowed += _WITHDRAWN_WITHIN
            if at > row.command.expires_at + allowed:
                yield f"done at {at}, after its end: {_name(row)}"


def _states(life: Commanding, row: Row) -> Iterator[str]:
    """A state is reached in a legal way, and what it says is true."""
    command_id, device_id = row.command.command_id, row.command.device_id
    if tuple(row.states) not in _LEGAL:
        yield f"moved {' → '.join(row.states)}"
    executed = {one for one, _ in life.witness.executed.get(device_id, [])}
    if row.state is State.ACKNOWLEDGED and command_id not in executed:
        yield "acknowledged, and the device has not done it"
    taken = any(one.taken for one in life.seen.sent if one.command_id == command_id)
    if State.SENT in row.states and not taken:
        yield "sent, and nobody was there to take it"
    if command_id in life.seen.cancelled and (row.state is not State.CANCELLED or taken):
        yield "taken back, and sent all the same"


def _answers(life: Commanding, refused: AbstractSet[bytes]) -> Iterator[str]:
    """What a device has said, and the broker acknowledged, was heard, however late."""
    for answer in life.witness.answers:
        row = life.rows.rows[answer.command_id]
        kind = Kind.ACKNOWLEDGED if answer.done else Kind.FAILED
        if answer.done is not None and kind not in row.heard:
            yield f"its answer is lost: {_name(row)}"
    for forged in life.witness.forged:
        if forged not in refused:
            yield f"a device answered for another one: {forged.decode()}"


def _name(row: Row) -> str:
    command = row.command
    return f"{command.command_id} of {command.device_id}, {row.state}, {row.detail}"
