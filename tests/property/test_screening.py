"""Screening many messages at once finds what screening each of them finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from plumbline.adapters.sending import MAX_ATTRIBUTES, MAX_MESSAGE_BYTES, screen
from plumbline.ports import OutgoingMessage

GOOD = OutgoingMessage("a", {"type": "reading"}, "g", "d")
ODD = [
    *(replace(GOOD, body=text) for text in ("", "ü", "a b", "\t", "\x7f", "\xa0", "\0", "\ufffe")),
    *(replace(GOOD, body="x" * size) for size in (3_000, 4_000, MAX_MESSAGE_BYTES)),
    *(replace(GOOD, attributes={name: "v"}) for name in ("", "ü", "\x01", "n" * 4_000)),
    *(replace(GOOD, attributes={"type": value}) for value in ("", "ü", "\0", "v" * 4_000)),
    *(
        replace(GOOD, attributes={f"n{n}": "v" for n in range(count)})
        for count in (0, MAX_ATTRIBUTES, MAX_ATTRIBUTES + 1)
    ),
    # Too long by all of it together.
    replace(GOOD, attributes={"type": "a"} | {f"n{n}": "v" * 30_000 for n in range(9)}),
    *(replace(GOOD, group_id=key) for key in ("", None, "h")),
    *(replace(GOOD, deduplication_id=key) for key in ("", None)),
]
REFUSED = OutgoingMessage("\0", {}, "another group", "d")


def require_the_same(batch: list[OutgoingMessage], *, fifo: bool) -> None:
    # With one that is refused among them, every message is looked at by itself.
    accepted, failures = screen([*batch, REFUSED], fifo=fifo)
    assert screen(batch, fifo=fifo) == (accepted, failures[:-1])


@pytest.mark.parametrize("fifo", [False, True])
@pytest.mark.parametrize("odd", range(len(ODD)))
def test_each_odd_message_is_judged_the_same(odd: int, fifo: bool) -> None:  # noqa: FBT001 - a parameter
    require_the_same([GOOD, ODD[odd], GOOD], fifo=fifo)


@given(st.lists(st.sampled_from([GOOD, *ODD]), max_size=4), st.booleans())
def test_all_at_once_says_what_each_says(batch: list[OutgoingMessage], fifo: bool) -> None:  # noqa: FBT001 - drawn
    require_the_same(batch, fifo=fifo)


@given(st.integers(0, 200))
def test_a_message_is_refused_from_the_limit_on(beyond: int) -> None:
    attributes = {"type": "reading"}
    room = MAX_MESSAGE_BYTES - len("type") - len("String") - len("reading")
    fits = OutgoingMessage("x" * room, attributes)
    large = OutgoingMessage("x" * (room + 1 + beyond), attributes)
    assert screen([fits], fifo=False)[0] == [0]
    assert [failure.index for failure in screen([fits, large], fifo=False)[1]] == [1]
