"""A command's state only moves forwards, whatever is heard of it in which order and how often."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command_world import add_command, answer, command, handler_event, row_of
from plumbline.domain.command import Command
from plumbline.domain.command_event import CommandEvent, CommandEventKind
from store_world import Batch, World, open_world

SHARED_DATABASE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

K = CommandEventKind
FINAL = {K.ACKNOWLEDGED, K.FAILED, K.EXPIRED}
TIMES = {
    K.SENT: "sent_at",
    K.TRANSMITTED: "transmitted_at",
    K.ACKNOWLEDGED: "acknowledged_at",
    K.FAILED: "failed_at",
    K.EXPIRED: "expired_at",
}
RANKS = {"queued": 0, "sent": 1, "acknowledged": 2, "failed": 2, "expired": 2}


@contextmanager
def empty_world(url: str) -> Iterator[World]:
    with open_world(url) as world:
        world.query("TRUNCATE commands, command_event, settled_delivery, quarantine, ledger_entry")
        yield world


@dataclass(frozen=True, slots=True)
class History:
    """Commands, and what is heard of them, in batches."""

    commands: Sequence[Command]
    batches: Sequence[Sequence[CommandEvent]]

    def of(self, one: Command) -> list[CommandEvent]:
        """Return what is heard of a command, in the order in which it counts."""
        return [
            event
            for batch in self.batches
            for event in sorted(batch, key=lambda e: (e.occurred_at, e.event_id))
            if event.command_id == one.command_id
        ]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw events of three commands, repeated at will, in any order and batches."""
    commands = [command(device) for device in ("a", "a", "b")]
    delivered = Batch()
    index = 0
    events: list[CommandEvent] = []
    for one in commands:
        confirmed = draw(st.booleans())
        for kind in draw(st.lists(st.sampled_from([K.SENT, K.UNDELIVERED, K.EXPIRED]), max_size=3)):
            attempt = draw(st.integers(1, 2))
            second = draw(st.integers(0, 9))
            events.append(handler_event(one, kind, attempt, second=second, confirmed=confirmed))
        for kind in draw(
            st.lists(st.sampled_from([K.TRANSMITTED, K.ACKNOWLEDGED, K.FAILED]), max_size=3)
        ):
            second = draw(st.integers(0, 9))
            events.append(answer(delivered, index, one, kind, second=second))
            index += 1
    again = draw(st.lists(st.sampled_from(events), max_size=6)) if events else []
    order = draw(st.permutations([*events, *again]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=6)))
    batches = [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    return History(commands, batches)


def check(row: dict[str, Any], events: Sequence[CommandEvent], seen: set[str]) -> None:
    """Compare a command with all that was heard of it."""
    # Of one event, and of equal answers, the first to arrive counts.
    first: dict[object, CommandEvent] = {}
    for event in events:
        first.setdefault(event.kind if event.arrival else event.event_id, event)
    heard = list(first.values())
    kinds = {event.kind for event in heard}
    for kind, column in TIMES.items():
        expected = min((e.occurred_at for e in heard if e.kind is kind), default=None)
        assert row[column] == expected, column
    unconfirmed = K.TRANSMITTED in kinds and any(
        e.kind is K.SENT and not e.confirmed for e in heard
    )
    finals = {kind.value for kind in kinds & FINAL}
    if finals and not unconfirmed:
        assert row["state"] in finals
    elif finals:
        assert row["state"] in finals | {"sent"}
    elif kinds & {K.SENT, K.TRANSMITTED}:
        assert row["state"] == "sent"
    else:
        assert row["state"] == "queued"
        assert (row["relayed_at"] is None) == (K.UNDELIVERED in kinds)
        assert (row["next_attempt_at"] is not None) == (K.UNDELIVERED in kinds)
    assert (row["ended_at"] is not None) == bool(finals or unconfirmed)
    assert seen, "the state was looked at"


@SHARED_DATABASE
@given(history=histories())
def test_states_only_move_forwards_and_every_time_is_found(
    database_url: str, history: History
) -> None:
    with empty_world(database_url) as world, world.database.connection() as connection:
        for one in history.commands:
            add_command(connection, one, attempts=1)
        ids = [one.command_id for one in history.commands]
        seen = {command_id: ["queued"] for command_id in ids}
        for batch in history.batches:
            world.persist(*batch)
            for command_id in ids:
                seen[command_id].append(row_of(connection, command_id)["state"])
        for one in history.commands:
            states = seen[one.command_id]
            ranks = [RANKS[state] for state in states]
            assert ranks == sorted(ranks)
            finals = {state for state in states if RANKS[state] == 2}
            assert len(finals) <= 1, "nothing leaves its end"
            check(row_of(connection, one.command_id), history.of(one), set(states))


@SHARED_DATABASE
@given(history=histories())
def test_every_answer_is_in_the_ledger_once(database_url: str, history: History) -> None:
    with empty_world(database_url) as world, world.database.connection() as connection:
        for one in history.commands:
            add_command(connection, one, attempts=1)
        for batch in history.batches:
            world.persist(*batch)
        answers = {
            event.delivery_id: event
            for batch in history.batches
            for event in batch
            if event.arrival is not None
        }
        different = {(event.command_id, event.kind) for event in answers.values()}
        sums: dict[str, int] = {}
        for counts in world.outcomes().values():
            for name, count in counts.items():
                sums[name] = sums.get(name, 0) + count
        assert sums.get("stored", 0) == len(different)
        assert sums.get("duplicate", 0) == len(answers) - len(different)
        assert world.value("SELECT count(*) FROM accounted_delivery") == len(answers)


def test_the_usual_story_ends_alike_in_every_order(database_url: str) -> None:
    """Also where the acknowledgement is the first that is heard."""
    with empty_world(database_url) as world, world.database.connection() as connection:
        for order in permutations([K.UNDELIVERED, K.SENT, K.TRANSMITTED, K.ACKNOWLEDGED]):
            one = add_command(connection, command(), attempts=1)
            delivered = Batch()
            events = {
                K.UNDELIVERED: handler_event(one, K.UNDELIVERED, 1),
                K.SENT: handler_event(one, K.SENT, 2, second=7),
                K.TRANSMITTED: answer(delivered, 0, one, K.TRANSMITTED, second=8),
                K.ACKNOWLEDGED: answer(delivered, 1, one, second=9, detail="done"),
            }
            for kind in order:
                world.persist(events[kind])
            row = row_of(connection, one.command_id)
            assert (row["state"], row["detail"]) == ("acknowledged", "done"), order
            times = [row["sent_at"], row["transmitted_at"], row["acknowledged_at"]]
            assert times == [events[kind].occurred_at for kind in list(TIMES)[:3]], order
            assert row["ended_at"] is not None
