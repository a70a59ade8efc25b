"""The account where the queues are on SQS, which counts about and tells nothing by identity."""

import pytest

from plumbline.application.ledger_with_queues import LedgerWithQueues
from plumbline.domain.ledger import Accountant, BatchEntries, LedgerAccount
from plumbline.ports import QueueDepth

BATCH = "018d5e3fa2b10f8fad5bd9cb"


class Stored:
    """What the database says: received by device, and stored by device."""

    def __init__(self, received: dict[str, int], stored: dict[str, int]) -> None:
        self._received, self._stored = received, stored

    def account(self, device_id: str | None = None) -> LedgerAccount:
        entries = BatchEntries(BATCH)
        entries.receive(self._received, sum(self._received.values()))
        entries.outcomes.append({device: {"stored": n} for device, n in self._stored.items()})
        accountant = Accountant()
        accountant.add_batch(entries, {}, {}, receipt_under_way=False)
        return accountant.account(device_id)


class Counted:
    """A queue that says, at each look, the next of these counts; the last one for ever."""

    def __init__(self, *depths: int, dead: int = 0) -> None:
        self._depths, self._dead = list(depths), dead

    def depth(self) -> QueueDepth:
        depth = self._depths.pop(0) if len(self._depths) > 1 else self._depths[0]
        return QueueDepth(depth, 0, None)

    def dead_letter_depth(self) -> QueueDepth:
        return QueueDepth(0, self._dead, None)


HALF = Stored({"d1": 6, "d2": 4}, {"d1": 3, "d2": 2})


def test_what_has_no_outcome_is_in_flight_while_the_queues_hold_as_much() -> None:
    account = LedgerWithQueues(HALF, [Counted(4), Counted(3)]).account()
    assert account.balanced
    assert account.approximate
    assert (account.total.received, account.total.stored) == (10, 5)
    assert (account.total.in_flight, account.total.dead_lettered) == (5, 0)
    assert account.devices["d1"].in_flight == 3
    assert account.mismatches == ()


def test_of_it_as_much_as_there_are_dead_letters_is_dead_lettered() -> None:
    account = LedgerWithQueues(HALF, [Counted(0, dead=2), Counted(3)]).account()
    assert account.balanced
    assert (account.total.in_flight, account.total.dead_lettered) == (3, 2)


@pytest.mark.parametrize(("depth", "dead"), [(0, 0), (4, 0), (2, 2)])
def test_more_without_an_outcome_than_the_queues_hold_is_a_loss(depth: int, dead: int) -> None:
    account = LedgerWithQueues(HALF, [Counted(depth, dead=dead)]).account()
    assert not account.balanced
    assert {(m.device_id, m.received, m.accounted) for m in account.mismatches} == {
        ("d1", 6, 3),
        ("d2", 4, 2),
    }


def test_nothing_in_a_queue_explains_an_outcome_too_many() -> None:
    account = LedgerWithQueues(Stored({"d1": 1}, {"d1": 2}), [Counted(100)]).account()
    assert not account.balanced


def test_what_came_into_the_queues_meanwhile_is_seen_at_a_second_look() -> None:
    assert LedgerWithQueues(HALF, [Counted(0, 5)]).account().balanced


def test_one_devices_account_tells_only_that_something_of_it_is_on_its_way() -> None:
    account = LedgerWithQueues(HALF, [Counted(5, dead=5)]).account("d1")
    assert account.balanced
    assert (account.total.in_flight, account.total.dead_lettered) == (3, 0)


def test_where_all_has_its_outcome_the_queues_may_hold_anything() -> None:
    done = Stored({"d1": 3}, {"d1": 3})
    account = LedgerWithQueues(done, [Counted(7, dead=1)]).account()
    assert account.balanced
    assert (account.total.in_flight, account.total.dead_lettered) == (0, 0)
