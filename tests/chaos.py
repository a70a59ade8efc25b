"""Steps of the pipeline that die between any two of their actions, on demand."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

from plumbline.adapters.postgres.command_outbox import (
    PostgresCommandOutbox,
    PostgresCommandTurn,
)
from plumbline.application.relay_commands import CommandTurn
from plumbline.application.send_command import CommandBroker
from plumbline.domain.issued_command import DueCommand
from plumbline.domain.publication import Publication, Published
from plumbline.errors import BrokerUnavailable
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


class Killed(Exception):
    """The process has died here."""


class Chaos:
    """Decides where something goes wrong, and counts what did.

    Args:
        rng: Decides.
        probability: At each point.
    """

    def __init__(self, rng: random.Random, probability: float) -> None:
        self._rng = rng
        self.probability = probability
        self.struck: Counter[str] = Counter()

    def strikes(self, point: str) -> bool:
        """Tell whether it goes wrong here, now."""
        if self._rng.random() >= self.probability:
            return False
        self.struck[point] += 1
        return True

    def may_kill(self, point: str) -> None:
        """Die here, perhaps."""
        if self.strikes(point):
            raise Killed(point)


class ChaosQueue:
    """A queue to which a process may not come to send, or not come back."""

    def __init__(self, queue: Queue, chaos: Chaos) -> None:
        self.name = queue.name
        self.fifo = queue.fifo
        self._queue = queue
        self._chaos = chaos

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        self._chaos.may_kill(f"before sending to {self.name}")
        if self._chaos.strikes(f"{self.name} refuses"):
            return [SendFailure(i, "Refused", "", sender_fault=False) for i in range(len(messages))]
        failures = self._queue.send(messages)
        self._chaos.may_kill(f"after sending to {self.name}")
        return failures

    def receive(
        self, max_messages: int, *, wait_s: float = 0.0, visibility_s: float | None = None
    ) -> list[QueueMessage]:
        return self._queue.receive(max_messages, wait_s=wait_s, visibility_s=visibility_s)

    def delete(self, receipt_handles: Sequence[str]) -> list[str]:
        self._chaos.may_kill(f"before deleting from {self.name}")
        return self._queue.delete(receipt_handles)

    def change_visibility(self, receipt_handles: Sequence[str], visibility_s: float) -> None:
        self._queue.change_visibility(receipt_handles, visibility_s)

    def depth(self) -> QueueDepth:
        return self._queue.depth()


class ChaosBroker:
    """A broker that is away, that does not answer, or before and behind which a process dies."""

    def __init__(self, broker: CommandBroker, chaos: Chaos) -> None:
        self._broker = broker
        self._chaos = chaos

    def publish(self, publications: Sequence[Publication]) -> list[Published]:
        self._chaos.may_kill("before publishing")
        if self._chaos.strikes("the broker is away"):
            msg = "away"
            raise BrokerUnavailable(msg)
        results = self._broker.publish(publications)
        self._chaos.may_kill("after publishing, before the event")
        if self._chaos.strikes("published, without an acknowledgement"):
            return [Published(unavailable="no acknowledgement") for _ in results]
        return results


class ChaosStore:
    """A store before and behind which a process dies."""

    def __init__(self, store: ReadingStore, chaos: Chaos) -> None:
        self._store = store
        self._chaos = chaos

    def persist(self, batch: PersistBatch) -> PersistOutcome:
        self._chaos.may_kill("before the transaction")
        outcome = self._store.persist(batch)
        self._chaos.may_kill("after the transaction")
        return outcome


class ChaosOutbox:
    """An outbox whose relay dies after the queues have accepted."""

    def __init__(self, outbox: PostgresCommandOutbox, chaos: Chaos) -> None:
        self._outbox = outbox
        self._chaos = chaos

    @contextmanager
    def turn(self) -> Iterator[CommandTurn | None]:
        with self._outbox.turn() as turn:
            yield None if turn is None else _ChaosTurn(turn, self._chaos)
            self._chaos.may_kill("before the relay remembers")
        self._chaos.may_kill("after the relay has remembered")


class _ChaosTurn:
    def __init__(self, turn: PostgresCommandTurn, chaos: Chaos) -> None:
        self._turn = turn
        self._chaos = chaos

    def due(self) -> Sequence[DueCommand]:
        return self._turn.due()

    def expire(self, details: Mapping[UUID, str]) -> None:
        self._turn.expire(details)

    def mark_withdrawn(self, command_ids: Sequence[UUID]) -> None:
        self._turn.mark_withdrawn(command_ids)

    def mark_relayed(self, command_ids: Sequence[UUID]) -> None:
        self._chaos.may_kill("after the queue accepted a command")
        self._turn.mark_relayed(command_ids)

    def next_due_s(self) -> float | None:
        return self._turn.next_due_s()
