"""What the database does with a batch, in memory: the rules of the contract, not its SQL."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from plumbline.codecs.queue_message import decode
from plumbline.domain.command_event import Arrival, CommandEvent
from plumbline.domain.delivery import DeliveredReading, Receipt, Refusal, batch_of
from plumbline.domain.ledger import Accountant, BatchEntries, LedgerAccount, Outcome, tally
from plumbline.domain.reading import Reading
from plumbline.ports import (
    DeviceStatus,
    FleetStatistics,
    PersistBatch,
    PersistOutcome,
    QueueMessage,
)
from proofs.simulation.command_rows import MemoryCommands, TakenIn

Place = tuple[str, datetime]
"""Device and its time: one reading each."""


class MemoryStore:
    """Readings, what became of every delivery, and the ledger.

    Args:
        commands: Hear what is said of them; without, nothing is.
    """

    def __init__(self, commands: MemoryCommands | None = None) -> None:
        self._commands = commands
        self.rows: dict[Place, Reading] = {}
        self.conflicts: dict[Place, list[Reading]] = {}
        self.quarantine: dict[UUID, Refusal] = {}
        self.statuses: dict[str, DeviceStatus] = {}
        self._outcomes: dict[UUID, Outcome] = {}
        self._batches: dict[str, BatchEntries] = {}

    def persist(self, batch: PersistBatch) -> PersistOutcome:
        """Store the batch; see ports.ReadingStore."""
        new: dict[Outcome, list[tuple[UUID, str]]] = {outcome: [] for outcome in Outcome}
        repeated = 0
        for delivered in batch.readings:
            if delivered.delivery_id in self._outcomes:
                repeated += 1
                continue
            outcome = self._take(delivered.reading)
            self._outcomes[delivered.delivery_id] = outcome
            new[outcome].append((delivered.delivery_id, delivered.reading.device_id))
        taken, known = self._hear(batch)
        repeated += known
        for event in taken.stored:
            self._outcomes[event.delivery_id] = Outcome.STORED
            new[Outcome.STORED].append((event.delivery_id, event.device_id))
        for event in taken.duplicates:
            self._outcomes[event.delivery_id] = Outcome.DUPLICATE
            new[Outcome.DUPLICATE].append((event.delivery_id, event.device_id))
        for refusal in [*batch.refusals, *taken.refusals]:
            if refusal.delivery_id in self._outcomes:
                repeated += 1
                continue
            self.quarantine[refusal.delivery_id] = refusal
            self._outcomes[refusal.delivery_id] = Outcome.QUARANTINED
            new[Outcome.QUARANTINED].append((refusal.delivery_id, refusal.device_id))
        for batch_id, counts in tally(new).items():
            self._batch(batch_id).outcomes.append(counts)
        for receipt in batch.receipts:
            self._batch(receipt.batch_id).receive(receipt.items, receipt.messages)
        return PersistOutcome(
            stored=len(new[Outcome.STORED]),
            duplicates=len(new[Outcome.DUPLICATE]),
            conflicts=len(new[Outcome.CONFLICT]),
            quarantined=len(new[Outcome.QUARANTINED]),
            repeated=repeated,
        )

    def _hear(self, batch: PersistBatch) -> tuple[TakenIn, int]:
        """Take in what was heard of commands; also return how much of it was known."""
        if self._commands is None or not batch.command_events:
            return TakenIn(), 0
        fresh = [e for e in batch.command_events if e.delivery_id not in self._outcomes]
        return self._commands.take_in(fresh), len(batch.command_events) - len(fresh)

    def _take(self, reading: Reading) -> Outcome:
        place = (reading.device_id, reading.observed_at)
        stored = self.rows.setdefault(place, reading)
        if stored is reading:
            self._update_status(reading)
            return Outcome.STORED
        if stored == reading:
            return Outcome.DUPLICATE
        self.conflicts.setdefault(place, []).append(reading)
        return Outcome.CONFLICT

    def _update_status(self, reading: Reading) -> None:
        known = self.statuses.get(reading.device_id)
        if known is None or known.last_seen < reading.observed_at:
            self.statuses[reading.device_id] = DeviceStatus(
                reading.device_id,
                reading.status.value,
                reading.observed_at,
                reading.tilt_angle_deg,
                reading.battery_level_pct,
            )

    def _batch(self, batch_id: str) -> BatchEntries:
        return self._batches.setdefault(batch_id, BatchEntries(batch_id))

    def account(
        self, waiting: Iterable[QueueMessage], dead: Iterable[QueueMessage]
    ) -> LedgerAccount:
        """Return the account.

        Args:
            waiting: Everything in the two queues.
            dead: Everything in their dead-letter queues.
        """
        receipts: set[str] = set()
        in_flight = self._without_outcome(waiting, receipts)
        dead_lettered = self._without_outcome(dead, receipts)
        # One that is in both, as a queue forwarded it and then gave it up, is on its way.
        moving = _by_batch(in_flight)
        given_up = _by_batch({d: of for d, of in dead_lettered.items() if d not in in_flight})
        accountant = Accountant()
        for batch_id in sorted(self._batches.keys() | moving.keys() | given_up.keys()):
            accountant.add_batch(
                self._batches.get(batch_id, BatchEntries(batch_id)),
                moving.get(batch_id, {}),
                given_up.get(batch_id, {}),
                receipt_under_way=batch_id in receipts,
            )
        return accountant.account()

    def _without_outcome(
        self, messages: Iterable[QueueMessage], receipts: set[str]
    ) -> dict[UUID, str]:
        """Return the devices of deliveries without an outcome; fill in whose receipts there are."""
        found: dict[UUID, str] = {}
        for message in messages:
            match decode(message):
                case Receipt(batch_id=batch_id):
                    receipts.add(batch_id)
                case DeliveredReading(reading=reading, delivery_id=delivery):
                    found[delivery] = reading.device_id
                case Refusal(device_id=device_id, delivery_id=delivery):
                    found[delivery] = device_id
                case CommandEvent(device_id=device_id, arrival=Arrival(delivery_id=delivery)):
                    found[delivery] = device_id
        return {d: of for d, of in found.items() if d not in self._outcomes}

    # --- as the sync asks -----------------------------------------------------------------

    def device_statuses(self) -> Generator[Sequence[DeviceStatus], None, None]:
        """Yield every status in one chunk; see ports.StatusSource."""
        yield [self.statuses[device_id] for device_id in sorted(self.statuses)]

    def fleet_statistics(self, now: datetime) -> FleetStatistics:
        """Return the counts; see ports.StatusSource."""
        since = now - timedelta(hours=1)
        by_status: dict[str, int] = {}
        for status in self.statuses.values():
            by_status[status.current_status] = by_status.get(status.current_status, 0) + 1
        stalest = min(self.statuses.values(), key=lambda s: s.last_seen, default=None)
        return FleetStatistics(
            len(self.statuses),
            by_status,
            sum(since <= status.last_seen for status in self.statuses.values()),
            None if stalest is None else stalest.device_id,
            None if stalest is None else stalest.last_seen,
        )


def _by_batch(devices: Mapping[UUID, str]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for delivery, device_id in devices.items():
        of_batch = counts.setdefault(batch_of(delivery), {})
        of_batch[device_id] = of_batch.get(device_id, 0) + 1
    return counts


class MemoryCache:
    """The status cache: a status is never replaced by an older one."""

    def __init__(self) -> None:
        self.statuses: dict[str, DeviceStatus] = {}

    def put_statuses(self, statuses: Sequence[DeviceStatus], synced_at: datetime) -> int:
        """Keep what is not older than what is there; see ports.StatusCache."""
        del synced_at
        written = 0
        for status in statuses:
            known = self.statuses.get(status.device_id)
            if known is None or known.last_seen <= status.last_seen:
                self.statuses[status.device_id] = status
                written += 1
        return written

    def put_statistics(self, statistics: FleetStatistics, synced_at: datetime) -> None:
        """Nothing asks for them here."""

    def get_status(self, device_id: str) -> Mapping[str, object] | None:
        """Nothing asks for it here."""
        raise NotImplementedError

    def get_statistics(self) -> Mapping[str, object] | None:
        """Nothing asks for them here."""
        raise NotImplementedError
