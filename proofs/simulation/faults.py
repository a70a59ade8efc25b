"""What goes wrong, and when: drawn from the seed."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plumbline.errors import PlumblineError, QueueUnavailable, StoreUnavailable
from plumbline.ports import (
    OutgoingMessage,
    PersistBatch,
    PersistOutcome,
    Queue,
    QueueDepth,
    QueueMessage,
    ReadingStore,
    SendFailure,
)


class Killed(BaseException):
    """The process ends here, as by SIGKILL."""


@dataclass(frozen=True, slots=True)
class Severity:
    """How often things go wrong.

    Attributes:
        rate: Probability of each fault at each point where it can happen.
        outage_every_s: Mean time between two outages of one part.
        outage_s: Longest outage.
    """

    rate: float = 0.01
    outage_every_s: float = 6 * 3600.0
    outage_s: float = 1800.0


class Faults:
    """Decides where something goes wrong, and counts what did.

    Args:
        rng: Decides.
        severity: How often; None for never.
        record: Told of each.
    """

    def __init__(
        self, rng: random.Random, severity: Severity | None, record: Callable[[str], None]
    ) -> None:
        self.rng = rng
        self.active = severity is not None
        self.away: set[str] = set()
        self.struck: Counter[str] = Counter()
        self._rate = 0.0 if severity is None else severity.rate
        self._record = record

    def strikes(self, what: str) -> bool:
        """Tell whether it goes wrong here, now."""
        if not self.active or self.rng.random() >= self._rate:
            return False
        self.note(what)
        return True

    def note(self, what: str) -> None:
        """Count a fault."""
        self.struck[what] += 1
        self._record(f"fault: {what}")

    def may_kill(self, where: str) -> None:
        """End the process here, perhaps."""
        if self.strikes(f"killed {where}"):
            raise Killed(where)

    def require(self, part: str, error: type[PlumblineError]) -> None:
        """Raise the error while the part is away."""
        if part in self.away:
            raise error(part)


class FaultyQueue:
    """A queue as a process has it that can die, with a service that can fail."""

    def __init__(self, queue: Queue, faults: Faults) -> None:
        self.name = queue.name
        self.fifo = queue.fifo
        self._queue = queue
        self.faults = faults

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        """Send, perhaps some of it; see ports.Queue."""
        faults = self.faults
        faults.require("queues", QueueUnavailable)
        faults.may_kill(f"before sending to {self.name}")
        accepted, failures = self.choose(messages)
        failures += [
            SendFailure(accepted[f.index], f.code, f.detail, f.sender_fault)
            for f in self._queue.send([messages[index] for index in accepted])
        ]
        faults.may_kill(f"after sending to {self.name}")
        if faults.strikes(f"no answer from {self.name}"):
            raise QueueUnavailable(self.name)
        return failures

    def choose(self, messages: Sequence[OutgoingMessage]) -> tuple[list[int], list[SendFailure]]:
        """Return what is accepted, and the failures of the rest: a request's entries fail alone."""
        accepted: list[int] = []
        failures: list[SendFailure] = []
        held: set[str | None] = set()
        for index, message in enumerate(messages):
            if self.fifo and message.group_id in held:
                failures.append(SendFailure(index, "Held", "", sender_fault=False))
            elif self.faults.strikes(f"{self.name} refuses an entry"):
                failures.append(SendFailure(index, "InternalError", "", sender_fault=False))
                held.add(message.group_id)
            else:
                accepted.append(index)
        return accepted, failures

    def receive(
        self, max_messages: int, *, wait_s: float = 0.0, visibility_s: float | None = None
    ) -> list[QueueMessage]:
        """Receive; see ports.Queue."""
        self.faults.require("queues", QueueUnavailable)
        return self._queue.receive(max_messages, wait_s=wait_s, visibility_s=visibility_s)

    def delete(self, receipt_handles: Sequence[str]) -> list[str]:
        """Delete; see ports.Queue."""
        self.faults.require("queues", QueueUnavailable)
        self.faults.may_kill(f"before deleting from {self.name}")
        return self._queue.delete(receipt_handles)

    def change_visibility(self, receipt_handles: Sequence[str], visibility_s: float) -> None:
        """Change the timeout; see ports.Queue."""
        self.faults.require("queues", QueueUnavailable)
        self._queue.change_visibility(receipt_handles, visibility_s)

    def depth(self) -> QueueDepth:
        """Return the counts; see ports.Queue."""
        return self._queue.depth()


class FaultyStore:
    """A store as a process has it that can die, with a database that can."""

    def __init__(self, store: ReadingStore, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    def persist(self, batch: PersistBatch) -> PersistOutcome:
        """Store, perhaps without an answer; see ports.ReadingStore."""
        faults = self._faults
        faults.require("database", StoreUnavailable)
        faults.may_kill("before the transaction")
        outcome = self._store.persist(batch)
        faults.may_kill("after the transaction")
        if faults.strikes("no answer to the commit"):
            raise StoreUnavailable(type(self._store).__name__)
        return outcome
