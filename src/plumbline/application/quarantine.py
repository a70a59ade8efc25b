"""Refused messages, read again."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from plumbline.application.intake import Intake
from plumbline.domain.quarantine import QuarantinedMessage, QuarantineEntry
from plumbline.domain.reason import Reason
from plumbline.errors import QueueUnavailable, StoreUnavailable
from plumbline.ports import BrokerMessage, Clock


class Quarantine(Protocol):
    """Where refused messages are kept."""

    def take_for_replay(
        self, entry_ids: Sequence[int]
    ) -> AbstractContextManager[list[QuarantinedMessage]]:
        """Yield entries that were not replayed yet; mark them when the block ends well."""
        ...


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay did.

    Attributes:
        readings, events: Entries that became readings, or events of their device.
        refused: Entries that were refused again, as new entries.
        answers: Entries that became answers to commands.
        skipped: Entries that were replayed before, or whose bytes are not complete.
    """

    readings: int
    events: int
    refused: int
    skipped: int
    answers: int = 0


class Replay:
    """Sends refused messages through the pipeline as if they came now."""

    def __init__(self, quarantine: Quarantine, intake: Intake, clock: Clock) -> None:
        self._quarantine = quarantine
        self._intake = intake
        self._clock = clock

    def run(self, entry_ids: Sequence[int]) -> ReplayReport:
        """Replay entries, as new deliveries.

        Their times are judged by when they first came; of those that were refused as in the future
        then, by now: it may have been our clock that was behind.

        Raises:
            NotFound: An entry does not exist; nothing was replayed.
            QueueUnavailable, StoreUnavailable: Run again; what was sent twice is a duplicate.
        """
        with self._quarantine.take_for_replay(entry_ids) as taken:
            if not taken:
                return ReplayReport(0, 0, 0, len(entry_ids))
            messages = [
                BrokerMessage(one.entry.topic, one.raw, 0, self._judged_at(one.entry))
                for one in taken
            ]
            only = {
                index: one.entry.item
                for index, one in enumerate(taken)
                if one.entry.item is not None
            }
            accepted = self._intake.accept(messages, only)
            if accepted.held:
                msg = f"the queue did not accept {len(accepted.held)} of {len(taken)} messages"
                raise QueueUnavailable(msg)
            if accepted.waiting:
                msg = "the registry of devices cannot be asked"
                raise StoreUnavailable(msg)
        return ReplayReport(
            accepted.readings,
            accepted.events,
            accepted.refusals,
            len(set(entry_ids)) - len(taken),
            accepted.answers,
        )

    def _judged_at(self, entry: QuarantineEntry) -> datetime:
        if entry.reason == Reason.TIMESTAMP_IN_FUTURE:
            return self._clock.now()
        return entry.received_at
