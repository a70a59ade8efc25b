"""The account of every delivery: what came in, what became of it, and whether the sums agree."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import UUID

from plumbline.domain.delivery import batch_named, batch_number


class Outcome(StrEnum):
    """How a delivery ended; each ends in exactly one of these."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"
    DISCARDED = "discarded"
    """Purged from a dead-letter queue by an operator."""


DeviceCounts = dict[str, dict[str, int]]
"""Counts by device id, then by outcome."""


def tally(
    outcomes: Mapping[Outcome, Iterable[tuple[UUID, str]]],
) -> dict[str, DeviceCounts]:
    """Count the deliveries (id, device id) of each outcome by batch id, device id and outcome."""
    batches: dict[int, DeviceCounts] = {}
    for outcome, deliveries in outcomes.items():
        name = outcome.value
        for delivery_id, device_id in deliveries:
            devices = batches.setdefault(batch_number(delivery_id), {})
            counts = devices.setdefault(device_id, {})
            counts[name] = counts.get(name, 0) + 1
    return {batch_named(number): devices for number, devices in batches.items()}


@dataclass(frozen=True, slots=True)
class Balance:
    """Deliveries by what became of them; ``received`` should be the sum of all others."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    quarantined: int = 0
    discarded: int = 0
    dead_lettered: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A batch and device for which the sums disagree.

    Attributes:
        batch_id: The batch, or empty where the totals of all folded batches disagree.
        device_id: The device.
        received: What the receipt says.
        accounted: What was found of it.
    """

    batch_id: str
    device_id: str
    received: int
    accounted: int


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """The account at one moment.

    Attributes:
        total: Over all devices.
        devices: By device id; "" is what no device can be told of.
        messages: MQTT messages in the batches with a receipt (one may hold several readings).
        interrupted_batches: Batches without a receipt: stopped before any of it was acknowledged,
            so the broker hands all of it over again; or being sent right now; or messages that
            somebody else put into the queue.
        mismatches: Where the sums disagree.
        approximate: Whether what is in queues is known by about how much it is, and not by
            identity.
    """

    total: Balance
    devices: Mapping[str, Balance]
    messages: int
    interrupted_batches: int
    mismatches: tuple[Mismatch, ...]
    approximate: bool = False

    @property
    def balanced(self) -> bool:
        """Whether every delivery is accounted for exactly once."""
        return not self.mismatches


def with_queued(
    account: LedgerAccount, in_flight: int, dead_lettered: int, device_id: str | None = None
) -> LedgerAccount:
    """Return an account in which what has no outcome yet is in queues that were only counted.

    Nobody can tell whose the messages are. So what lacks an outcome is taken to be in flight, as
    much of it as dead letters were counted to be dead-lettered (of one device: unknown, and in
    flight). Where the queues hold less than lacks an outcome, the sums disagree.

    Args:
        account: Without queues.
        in_flight: About how many messages the queues hold; more than deliveries, as receipts and
            parts of large messages are among them.
        dead_lettered: Likewise the dead-letter queues.
        device_id: Whose account it is, where it is one device's.
    """
    lacking: dict[str, int] = {}
    for mismatch in account.mismatches:
        open_ = max(0, mismatch.received - mismatch.accounted)
        lacking[mismatch.device_id] = lacking.get(mismatch.device_id, 0) + open_
    outstanding = sum(lacking.values())
    mismatches = account.mismatches
    if outstanding <= in_flight + dead_lettered:
        mismatches = tuple(m for m in mismatches if m.accounted > m.received)
    dead = min(outstanding, dead_lettered) if device_id is None else 0
    return replace(
        account,
        total=replace(account.total, in_flight=outstanding - dead, dead_lettered=dead),
        devices={
            device: replace(balance, in_flight=lacking.get(device, 0))
            for device, balance in account.devices.items()
        },
        mismatches=mismatches,
        approximate=True,
    )


@dataclass(slots=True)
class BatchEntries:
    """What the ledger holds of one batch.

    Attributes:
        items: Deliveries by device as the receipt says, or None without a receipt.
        messages: MQTT messages as the receipt says.
        outcomes: One a transaction that did something with the batch.
        folded: Whether the totals hold this batch already: None if not, otherwise whether it had a
            receipt then.
    """

    batch_id: str
    items: Mapping[str, int] | None = None
    messages: int = 0
    outcomes: list[DeviceCounts] = field(default_factory=list)
    folded: bool | None = None

    def receive(self, items: Mapping[str, int], messages: int) -> None:
        """Take the receipt in; that of a batch in the totals came late and counts no more."""
        if self.folded is None:
            self.items = items
            self.messages = messages

    def seen(self) -> dict[str, int]:
        """Return the number of outcomes by device."""
        seen: dict[str, int] = {}
        for outcome in self.outcomes:
            for device_id, counts in outcome.items():
                seen[device_id] = seen.get(device_id, 0) + sum(counts.values())
        return seen

    def expected(self, accounted: Mapping[str, int]) -> Mapping[str, int]:
        """Return what must be accounted for, by device.

        Without a receipt nobody promised anything: it is what was found. Of a batch that went into
        the totals with its receipt, nothing can be left.
        """
        if self.folded:
            return {}
        return accounted if self.items is None else self.items

    def is_complete(self) -> bool:
        """Tell whether every delivery of the receipt has its outcome."""
        return self.items is not None and _without_zeros(self.items) == self.seen()


_RECEIVED, _DEAD_LETTERED, _IN_FLIGHT = 0, 6, 7
_OUTCOMES = {outcome.value: column for column, outcome in enumerate(Outcome, 1)}


class Accountant:
    """Adds up batches and checks each."""

    def __init__(self) -> None:
        self._devices: dict[str, list[int]] = {}
        self._messages = 0
        self._interrupted = 0
        self._mismatches: list[Mismatch] = []

    def add_folded(self, messages: int, interrupted: int) -> None:
        """Add what the totals say of all devices together."""
        self._messages += messages
        self._interrupted += interrupted

    def add_total(self, device_id: str, received: int, counts: Mapping[str, int]) -> None:
        """Add one device's totals of all folded batches."""
        self._row(device_id)[_RECEIVED] += received
        self._add_outcomes({device_id: dict(counts)})
        accounted = sum(counts.values())
        if received != accounted:
            self._mismatches.append(Mismatch("", device_id, received, accounted))

    def add_batch(
        self,
        entries: BatchEntries,
        in_flight: Mapping[str, int],
        dead_lettered: Mapping[str, int],
        *,
        receipt_under_way: bool,
    ) -> None:
        """Add one batch, checked per device.

        Args:
            entries: What the ledger holds of it.
            in_flight: Deliveries without an outcome in the queues, by device.
            dead_lettered: Likewise in the dead-letter queues.
            receipt_under_way: Its receipt is in a queue.
        """
        accounted = entries.seen()
        for outcome in entries.outcomes:
            self._add_outcomes(outcome)
        for column, found in ((_IN_FLIGHT, in_flight), (_DEAD_LETTERED, dead_lettered)):
            for device_id, count in found.items():
                self._row(device_id)[column] += count
                accounted[device_id] = accounted.get(device_id, 0) + count
        received = _without_zeros(entries.expected(accounted))
        for device_id, count in received.items():
            self._row(device_id)[_RECEIVED] += count
        if received != accounted:
            self._mismatches.extend(
                Mismatch(
                    entries.batch_id, device, received.get(device, 0), accounted.get(device, 0)
                )
                for device in sorted(received.keys() | accounted.keys())
                if received.get(device, 0) != accounted.get(device, 0)
            )
        self._messages += entries.messages
        if entries.items is None and entries.folded is None and not receipt_under_way:
            self._interrupted += 1

    def account(self, device_id: str | None = None) -> LedgerAccount:
        """Return the account, of one device or of all."""
        rows = self._devices
        mismatches = self._mismatches
        if device_id is not None:
            rows = {device_id: self._row(device_id)}
            mismatches = [m for m in mismatches if m.device_id == device_id]
        return LedgerAccount(
            total=Balance(*(sum(column) for column in zip(*rows.values(), strict=True))),
            devices={device: Balance(*rows[device]) for device in sorted(rows)},
            messages=self._messages,
            interrupted_batches=self._interrupted,
            mismatches=tuple(mismatches),
        )

    def _row(self, device_id: str) -> list[int]:
        return self._devices.setdefault(device_id, [0] * 8)

    def _add_outcomes(self, outcomes: DeviceCounts) -> None:
        for device_id, counts in outcomes.items():
            row = self._row(device_id)
            for name, count in counts.items():
                row[_OUTCOMES[name]] += count


def _without_zeros(items: Mapping[str, int]) -> Mapping[str, int]:
    return items if all(items.values()) else {d: n for d, n in items.items() if n}
