"""How batches add up to the account."""

from uuid import UUID

import pytest

from plumbline.domain.delivery import delivery_id
from plumbline.domain.ledger import (
    Accountant,
    Balance,
    BatchEntries,
    LedgerAccount,
    Mismatch,
    Outcome,
    tally,
)

ONE, TWO = "0" * 23 + "1", "0" * 23 + "2"


def account_of(
    entries: BatchEntries,
    in_flight: dict[str, int] | None = None,
    dead_lettered: dict[str, int] | None = None,
    *,
    receipt_under_way: bool = False,
) -> LedgerAccount:
    accountant = Accountant()
    accountant.add_batch(
        entries, in_flight or {}, dead_lettered or {}, receipt_under_way=receipt_under_way
    )
    return accountant.account()


def test_outcomes_are_counted_by_batch_and_device() -> None:
    def some(batch_id: str, device_id: str, *indices: int) -> list[tuple[UUID, str]]:
        return [(delivery_id(batch_id, index), device_id) for index in indices]

    assert tally(
        {
            Outcome.STORED: some(ONE, "a", 0, 1) + some(TWO, "a", 0) + some(ONE, "b", 2),
            Outcome.CONFLICT: some(ONE, "a", 3),
        }
    ) == {
        ONE: {"a": {"stored": 2, "conflict": 1}, "b": {"stored": 1}},
        TWO: {"a": {"stored": 1}},
    }


def test_nothing_is_balanced() -> None:
    account = Accountant().account()
    assert account.balanced
    assert account.total == Balance()
    assert Accountant().account("a").devices == {"a": Balance()}


def test_every_kind_of_end_counts_for_its_device() -> None:
    entries = BatchEntries(
        ONE,
        items={"a": 8, "b": 1},
        messages=5,
        outcomes=[
            {"a": {"stored": 1, "duplicate": 1}, "b": {"stored": 1}},
            {"a": {"conflict": 1, "quarantined": 1, "discarded": 1}},
        ],
    )
    account = account_of(entries, {"a": 2}, {"a": 1})
    assert account.balanced
    assert account.devices["a"] == Balance(
        received=8,
        stored=1,
        duplicates=1,
        conflicts=1,
        quarantined=1,
        discarded=1,
        dead_lettered=1,
        in_flight=2,
    )
    assert account.total == Balance(9, 2, 1, 1, 1, 1, 1, 2)
    assert (account.messages, account.interrupted_batches) == (5, 0)


@pytest.mark.parametrize(
    ("items", "outcome", "mismatch"),
    [
        ({"a": 2}, {"a": {"stored": 1}}, Mismatch(ONE, "a", 2, 1)),
        ({"a": 1}, {"a": {"stored": 1, "duplicate": 1}}, Mismatch(ONE, "a", 1, 2)),
        ({"a": 1}, {}, Mismatch(ONE, "a", 1, 0)),
        ({}, {"a": {"stored": 1}}, Mismatch(ONE, "a", 0, 1)),
    ],
)
def test_one_missing_and_one_too_many_are_mismatches(
    items: dict[str, int], outcome: dict[str, dict[str, int]], mismatch: Mismatch
) -> None:
    account = account_of(BatchEntries(ONE, items=items, outcomes=[outcome]))
    assert account.mismatches == (mismatch,)
    assert not account.balanced


def test_devices_that_make_up_for_each_other_are_mismatches() -> None:
    account = account_of(BatchEntries(ONE, items={"a": 1, "b": 1}, outcomes=[{"a": {"stored": 2}}]))
    assert [m.device_id for m in account.mismatches] == ["a", "b"]
    assert account.total.received == account.total.stored


def test_batches_that_make_up_for_each_other_are_mismatches() -> None:
    accountant = Accountant()
    for batch_id, stored in ((ONE, 1), (TWO, 3)):
        accountant.add_batch(
            BatchEntries(batch_id, items={"a": 2}, outcomes=[{"a": {"stored": stored}}]),
            {},
            {},
            receipt_under_way=False,
        )
    assert len(accountant.account().mismatches) == 2


def test_without_a_receipt_what_was_seen_was_received() -> None:
    entries = BatchEntries(ONE, outcomes=[{"a": {"stored": 2}}])
    account = account_of(entries, {"b": 1})
    assert account.balanced
    assert account.devices == {"a": Balance(2, 2), "b": Balance(received=1, in_flight=1)}
    assert account.interrupted_batches == 1
    assert account_of(entries, receipt_under_way=True).interrupted_batches == 0


def test_totals_are_added_and_checked() -> None:
    accountant = Accountant()
    accountant.add_folded(messages=7, interrupted=2)
    accountant.add_total("a", 3, {"stored": 2, "duplicate": 1})
    accountant.add_total("b", 3, {"stored": 2})
    account = accountant.account()
    assert account.mismatches == (Mismatch("", "b", 3, 2),)
    assert account.devices["a"] == Balance(received=3, stored=2, duplicates=1)
    assert (account.messages, account.interrupted_batches) == (7, 2)


def test_a_receipt_that_comes_after_folding_counts_no_more() -> None:
    entries = BatchEntries(ONE, folded=True)
    entries.receive({"a": 1}, 1)
    assert account_of(entries).balanced
    assert account_of(entries).messages == 0


def test_an_outcome_after_folding_with_receipt_is_one_too_many() -> None:
    entries = BatchEntries(ONE, outcomes=[{"a": {"stored": 1}}], folded=True)
    assert account_of(entries).mismatches == (Mismatch(ONE, "a", 0, 1),)


def test_an_outcome_after_folding_without_receipt_adds_to_the_totals() -> None:
    entries = BatchEntries(ONE, outcomes=[{"a": {"stored": 1}}], folded=False)
    account = account_of(entries)
    assert account.balanced
    assert account.total == Balance(received=1, stored=1)
    assert account.interrupted_batches == 0


def test_a_batch_is_complete_when_every_device_is() -> None:
    assert not BatchEntries(ONE, outcomes=[{"a": {"stored": 1}}]).is_complete()
    entries = BatchEntries(ONE, items={"a": 2, "b": 1}, outcomes=[{"a": {"stored": 1}}])
    assert not entries.is_complete()
    entries.outcomes.append({"a": {"conflict": 1}, "b": {"quarantined": 1}})
    assert entries.is_complete()
    entries.outcomes.append({"b": {"stored": 1}})
    assert not entries.is_complete()


def test_a_device_without_deliveries_in_a_receipt_changes_nothing() -> None:
    entries = BatchEntries(ONE, items={"a": 1, "b": 0}, outcomes=[{"a": {"stored": 1}}])
    assert entries.is_complete()
    assert account_of(entries).balanced
    assert account_of(entries).devices == {"a": Balance(1, 1)}
    nothing = BatchEntries(ONE, items={"a": 0, "b": 0})
    assert account_of(nothing).devices == {}


def test_one_device_has_its_own_account() -> None:
    accountant = Accountant()
    accountant.add_batch(
        BatchEntries(ONE, items={"a": 1, "b": 5}, outcomes=[{"a": {"stored": 1}}]),
        {},
        {},
        receipt_under_way=False,
    )
    account = accountant.account("a")
    assert account.devices == {"a": Balance(1, 1)}
    assert account.total == Balance(1, 1)
    assert account.balanced
    assert not accountant.account("b").balanced
