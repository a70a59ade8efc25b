"""PostgreSQL's queues do what the fake does, whatever is done to them.

The contract suite shows the single rules; this shows them together: a change of visibility within a
group, a deletion of a part, deduplication, dead letters and time, in any order.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.queue_backends import Backend, MemoryBackend, Pair, PostgresBackend, closing
from plumbline.ports import OutgoingMessage, QueueMessage

# No sum of the times that pass comes near a timeout or the five minutes of deduplication: that an
# action takes real time on PostgreSQL, and none on the fake, changes nothing.
TIMEOUTS_S = st.sampled_from([0, 20, 100])
PASSING_S = st.sampled_from([36, 90, 330])

SEND = st.tuples(
    st.just("send"),
    st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from("123456")), min_size=1, max_size=4),
)
RECEIVE = st.tuples(st.just("receive"), st.integers(1, 4), TIMEOUTS_S)
CHOICE = st.sets(st.integers(0, 5), min_size=1, max_size=4)
DELETE = st.tuples(st.just("delete"), CHOICE)
CHANGE = st.tuples(st.just("change"), CHOICE, TIMEOUTS_S)
PASS = st.tuples(st.just("pass"), PASSING_S)


class Side:
    """One implementation; answers in terms that do not depend on it."""

    def __init__(self, backend: Backend, *, fifo: bool) -> None:
        self.backend = backend
        self.pair: Pair = backend.pair(fifo=fifo)
        self.received: list[QueueMessage] = []

    def do(self, number: int, action: tuple[Any, ...]) -> list[Any] | None:
        """Do one action and return everything that can be seen of it."""
        queue = self.pair.queue
        match action:
            case "send", entries:
                return queue.send(
                    [
                        OutgoingMessage(f"{number}.{n}", {"n": str(n)}, group, identity)
                        for n, (group, identity) in enumerate(entries)
                    ]
                )
            case "receive", limit, timeout_s:
                messages = queue.receive(limit, visibility_s=timeout_s)
                self.received = (messages + self.received)[:6]
                return [(m.body, m.attributes, m.group_id, m.receive_count) for m in messages]
            case "delete", choice:
                handles = self._handles(choice)
                expired = queue.delete(handles)
                return sorted(handles.index(handle) for handle in expired)
            case "change", choice, timeout_s:
                queue.change_visibility(self._handles(choice), timeout_s)
            case "pass", seconds:
                self.backend.pass_time(seconds)
        return None

    def state(self) -> object:
        """Return the counts, and the dead letters."""
        depth = self.pair.queue.depth()
        dead = self.backend.admin(self.pair).peek(self.pair.dead_letters.name, 100)
        return depth.visible, depth.in_flight, [(m.body, m.receive_count) for m in dead]

    def _handles(self, choice: set[int]) -> list[str]:
        return [m.receipt_handle for n, m in enumerate(self.received) if n in choice]


@pytest.mark.parametrize("block_from", [None, 1, 3])
@pytest.mark.parametrize("fifo", [True, False])
def test_the_queues_on_postgresql_do_what_the_fake_does(
    database_url: str, block_from: int | None, *, fifo: bool
) -> None:
    """A receive may bring fewer than asked for: the next block is not taken apart to fill it."""
    with closing(PostgresBackend(database_url, block_from=block_from)) as postgres:

        @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(st.one_of(SEND, RECEIVE, RECEIVE, DELETE, CHANGE, PASS), max_size=19))
        def compare(actions: list[tuple[Any, ...]]) -> None:
            fake, real = Side(MemoryBackend(), fifo=fifo), Side(postgres, fifo=fifo)
            for number, action in enumerate(actions):
                seen = real.do(number, action)
                same = action
                if block_from is not None and action[0] == "receive" and seen:
                    same = ("receive", len(seen), action[2])
                assert seen == fake.do(number, same), action
            assert real.state() == fake.state()

        compare()
