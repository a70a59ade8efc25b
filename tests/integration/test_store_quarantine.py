"""What an operator does with refused messages."""

from collections.abc import Iterator
from datetime import UTC

import pytest

from plumbline.errors import NotFound
from plumbline.ports import PersistOutcome
from store_world import NOON, Batch, World, open_world


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with open_world(database_url) as opened:
        yield opened


def test_entries_are_listed_newest_first_and_filtered(world: World) -> None:
    batch = Batch()
    world.persist(*batch.refuse(b"one", "a"))
    world.persist(*batch.refuse(b"three", "b"), *batch.refuse(b"x", ""))
    everything = world.quarantine.entries()
    assert [e.entry_id for e in everything] == sorted(
        (e.entry_id for e in everything), reverse=True
    )
    assert {e.device_id for e in everything} == {"a", "b", ""}
    (entry,) = world.quarantine.entries(device_id="b")
    assert (entry.size_bytes, entry.complete, entry.reason) == (5, True, "invalid_json")
    assert entry.received_at == NOON
    assert entry.received_at.tzinfo is UTC
    assert entry.replayed_at is None
    assert world.quarantine.entries(reason="duplicate_key") == []
    assert len(world.quarantine.entries(reason="invalid_json")) == 3
    assert world.quarantine.entries(limit=2) == everything[:2]
    assert world.quarantine.entries(before=everything[1].entry_id) == everything[2:]


def test_a_message_that_does_not_exist_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match="7"):
        world.quarantine.message(7)


def test_replayed_entries_are_marked_and_not_taken_again(world: World) -> None:
    batch = Batch()
    world.persist(*batch.refuse(b"one"), *batch.refuse(b"two"), batch.refuse(b"cut", parts=2)[0])
    ids = [entry.entry_id for entry in world.quarantine.entries()]
    with world.quarantine.take_for_replay(ids) as taken:
        assert sorted(message.raw for message in taken) == [b"one", b"two"]
    with world.quarantine.take_for_replay(ids) as taken:
        assert taken == []
    assert sorted(e.replayed_at is not None for e in world.quarantine.entries()) == [
        False,
        True,
        True,
    ]


def test_a_failed_replay_marks_nothing(world: World) -> None:
    world.persist(*Batch().refuse(b"one"))
    ids = [entry.entry_id for entry in world.quarantine.entries()]
    with pytest.raises(ConnectionError), world.quarantine.take_for_replay(ids):
        raise ConnectionError
    with world.quarantine.take_for_replay(ids) as taken:
        assert len(taken) == 1


def test_two_replays_at_once_do_not_take_the_same_entry(world: World) -> None:
    world.persist(*Batch().refuse(b"one"))
    ids = [entry.entry_id for entry in world.quarantine.entries()]
    with (
        open_world(world.url) as other,
        world.quarantine.take_for_replay(ids) as taken,
        other.quarantine.take_for_replay(ids) as taken_elsewhere,
    ):
        assert (len(taken), len(taken_elsewhere)) == (1, 0)


def test_a_replay_of_an_unknown_entry_takes_nothing(world: World) -> None:
    world.persist(*Batch().refuse(b"one"))
    (entry,) = world.quarantine.entries()
    with pytest.raises(NotFound), world.quarantine.take_for_replay([entry.entry_id, 10**6]):
        pass
    assert world.quarantine.entries()[0].replayed_at is None


def test_purged_entries_stay_accounted_for(world: World) -> None:
    """Also where the queue brings the message, or the rest of it, again."""
    batch = Batch()
    whole, (first, second) = batch.refuse(b"one", "a"), batch.refuse(b"two", "b", parts=2)
    world.persist(*whole, first)
    assert world.quarantine.purge(device_id="nobody") == 0
    assert world.quarantine.purge() == 2
    assert world.persist(*whole, first, second) == PersistOutcome(repeated=2)
    assert world.quarantine.entries() == []
    assert world.value("SELECT count(*) FROM quarantine_part") == 0
    assert world.ledger.account().total.quarantined == 2
    assert world.ledger.account().balanced


def test_purge_takes_only_what_was_named(world: World) -> None:
    batch = Batch()
    world.persist(*batch.refuse(b"1", "a"), *batch.refuse(b"2", "a"), *batch.refuse(b"3", "b"))
    newest, *rest = world.quarantine.entries()
    assert world.quarantine.purge([newest.entry_id]) == 1
    assert world.quarantine.purge([]) == 0
    assert world.quarantine.purge(reason="duplicate_key") == 0
    assert world.quarantine.entries() == rest
    assert world.quarantine.purge(device_id="a", reason="invalid_json") == 2
