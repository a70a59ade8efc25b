"""What stays at hand of what was read, and for how long."""

from plumbline.adapters.redis_known import KnownValues


def test_what_was_read_is_at_hand_until_it_changes() -> None:
    known = KnownValues()
    known.keep("a", b"1")
    known.keep("b", b"2")
    assert (known.get("a"), known.get("c")) == (b"1", None)
    assert known.forget("a")
    assert not known.forget("a")
    assert (known.get("a"), known.get("b")) == (None, b"2")
    known.age()
    known.keep("b", b"3")
    assert known.get("b") == b"3"
    assert known.forget("b")
    assert known.get("b") is None, "neither the new one nor the old one"


def test_nothing_is_at_hand_for_longer_than_two_ages() -> None:
    known = KnownValues()
    known.keep("a", b"1")
    assert known.age()
    assert known.get("a") == b"1"
    assert not known.age()
    assert known.get("a") is None


def test_what_ages_is_to_be_read_again_once() -> None:
    known = KnownValues()
    known.keep("a", b"1")
    assert not known.wants_reading("a"), "it is new"
    assert not known.wants_reading("b"), "nobody has read it"
    known.age()
    assert [known.wants_reading("a") for _ in range(3)] == [True, False, False]
    known.keep("a", b"2")
    known.age()
    assert known.wants_reading("a")


def test_as_much_is_at_hand_as_there_is_room() -> None:
    known = KnownValues()
    for number in range(25_000):
        known.keep(str(number), b"")
    known.age()
    for number in range(25_000):
        known.keep(str(number), b"")
    at_hand = sum(known.get(str(number)) is not None for number in range(25_000))
    assert at_hand <= 20_000
