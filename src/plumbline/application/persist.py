"""From the standard queue to the database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from plumbline.codecs.queue_message import decode
from plumbline.domain.command_event import CommandEvent
from plumbline.domain.delivery import DeliveredEvent, DeliveredReading, Receipt, Refusal
from plumbline.errors import InvalidMessage
from plumbline.ports import PersistBatch, PersistOutcome, QueueMessage, ReadingStore


@dataclass(frozen=True, slots=True)
class PersistReport:
    """What became of a batch.

    Attributes:
        failed: Message id to reason, of those that must be received again and, as nothing helps
            them, end in the dead-letter queue.
    """

    outcome: PersistOutcome
    failed: dict[str, str] = field(default_factory=dict)


class Persist:
    """Stores a batch in one transaction."""

    def __init__(self, store: ReadingStore) -> None:
        self._store = store

    def run(self, messages: Sequence[QueueMessage]) -> PersistReport:
        """Decode and store; a bad message fails alone.

        Raises:
            StoreUnavailable: All of the batch must be received again.
        """
        failed: dict[str, str] = {}
        owners: dict[UUID, str] = {}
        readings: list[DeliveredReading] = []
        events: list[DeliveredEvent] = []
        refusals: list[Refusal] = []
        receipts: list[Receipt] = []
        command_events: list[CommandEvent] = []
        for message in messages:
            try:
                content = decode(message)
            except InvalidMessage as error:
                failed[message.message_id] = str(error)
                continue
            if isinstance(content, Receipt):
                receipts.append(content)
                continue
            owners[content.delivery_id] = message.message_id
            match content:
                case Refusal():
                    refusals.append(content)
                case CommandEvent():
                    command_events.append(content)
                case DeliveredEvent():
                    events.append(content)
                case DeliveredReading():
                    readings.append(content)
        outcome = self._store.persist(
            PersistBatch(readings, refusals, receipts, events, command_events)
        )
        for delivery, reason in outcome.rejected.items():
            failed[owners[delivery]] = reason
        return PersistReport(outcome, failed)
