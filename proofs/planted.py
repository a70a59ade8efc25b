"""Mistakes that systems like this are known for, each to be put back in on purpose.

A proof that does not notice one of them proves nothing. They are switched on for one process by
``planted(name)``; the product knows nothing of them.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, MutableSet, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from msgspec import structs

from plumbline import topology
from plumbline.application import relay_commands, send_command
from plumbline.application.distribute import Distribute
from plumbline.application.intake import Accepted, Intake
from plumbline.application.persist import Persist
from plumbline.codecs.command_queue import QueuedCommand, Withdrawal
from plumbline.codecs.command_queue import decode as decode_command
from plumbline.codecs.command_queue import encode as encode_command
from plumbline.domain.command_event import CommandEventKind
from plumbline.ports import (
    BrokerMessage,
    OutgoingMessage,
    PersistBatch,
    Queue,
    QueueMessage,
    SendFailure,
)
from proofs.nothing_fails import NothingFails
from proofs.simulation import broker, command_rows, faults, store, world


@dataclass(frozen=True, slots=True)
class Bug:
    """One mistake.

    Attributes:
        what: For people.
        plant: Puts it in, until the stack is closed.
    """

    what: str
    plant: Callable[[ExitStack], None]


def _automatic_acknowledgement(stack: ExitStack) -> None:
    receive = broker.SimulatedSession.receive

    def receive_and_forget(
        self: broker.SimulatedSession, max_messages: int, *, linger_s: float, quiet_s: float
    ) -> list[BrokerMessage]:
        messages = receive(self, max_messages, linger_s=linger_s, quiet_s=quiet_s)
        self.acknowledge(messages)
        return messages

    stack.enter_context(patch.object(broker.SimulatedSession, "receive", receive_and_forget))


def _acknowledge_before_enqueue(stack: ExitStack) -> None:
    accept = Intake.accept
    everything = Accepted(frozenset(), frozenset(), 0, 0, 0, 0)

    def accept_later(
        self: Intake,
        messages: Sequence[BrokerMessage],
        only: Mapping[int, int] | None = None,
        *,
        held_devices: MutableSet[str] | None = None,
    ) -> Accepted:
        """Enqueue what the last call was given: by now it has been acknowledged."""
        waiting: list[BrokerMessage] = self.__dict__.setdefault("waiting", [])
        if waiting:
            accept(self, waiting, only, held_devices=held_devices)
        self.__dict__["waiting"] = list(messages)
        return everything

    stack.enter_context(patch.object(Intake, "accept", accept_later))


def _ignored_failures(stack: ExitStack) -> None:
    initialise = Intake.__init__

    def initialise_and_ignore(self: Intake, queue: Queue, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        initialise(self, NothingFails(queue), *args, **kwargs)

    stack.enter_context(patch.object(Intake, "__init__", initialise_and_ignore))


def _ignored_failures_of_forwarding(stack: ExitStack) -> None:
    initialise = Distribute.__init__

    def initialise_and_ignore(self: Distribute, queues: Mapping[str, Queue]) -> None:
        initialise(self, {name: NothingFails(queue) for name, queue in queues.items()})

    stack.enter_context(patch.object(Distribute, "__init__", initialise_and_ignore))


def _nothing_held_back(stack: ExitStack) -> None:
    def choose(
        self: faults.FaultyQueue, messages: Sequence[OutgoingMessage]
    ) -> tuple[list[int], list[SendFailure]]:
        struck = [self.faults.strikes("an entry is refused") for _ in messages]
        accepted = [index for index, fails in enumerate(struck) if not fails]
        failed = [index for index, fails in enumerate(struck) if fails]
        return accepted, [SendFailure(n, "InternalError", "", sender_fault=False) for n in failed]

    stack.enter_context(patch.object(faults.FaultyQueue, "choose", choose))


def _short_visibility(stack: ExitStack) -> None:
    whole = topology.TOPOLOGY
    short = replace(
        whole, queues=tuple(replace(queue, visibility_timeout_s=10) for queue in whole.queues)
    )
    stack.enter_context(patch.object(world, "TOPOLOGY", short))


def _naive_status(stack: ExitStack) -> None:
    update = store.MemoryStore._update_status  # noqa: SLF001 - planted into it

    def replace_always(self: store.MemoryStore, reading: Any) -> None:  # noqa: ANN401
        self.statuses.pop(reading.device_id, None)
        update(self, reading)

    stack.enter_context(patch.object(store.MemoryStore, "_update_status", replace_always))


def _dropped_conflicts(stack: ExitStack) -> None:
    persist = store.MemoryStore.persist

    def persist_without(self: store.MemoryStore, batch: PersistBatch) -> Any:  # noqa: ANN401
        kept = [
            delivered
            for delivered in batch.readings
            if self.rows.get(
                (delivered.reading.device_id, delivered.reading.observed_at), delivered.reading
            )
            == delivered.reading
        ]
        return persist(self, replace(batch, readings=kept))

    stack.enter_context(patch.object(store.MemoryStore, "persist", persist_without))


def _swallowed_outage(stack: ExitStack) -> None:
    run = Persist.run

    def run_and_swallow(self: Persist, messages: Sequence[Any]) -> Any:  # noqa: ANN401
        try:
            return run(self, messages)
        except Exception:  # noqa: BLE001 - the mistake
            return run(Persist(store.MemoryStore()), messages)

    stack.enter_context(patch.object(Persist, "run", run_and_swallow))


def _new_deduplication_ids(stack: ExitStack) -> None:
    numbers = itertools.count()

    def encode_anew(*args: Any) -> OutgoingMessage:  # noqa: ANN401 - handed on
        message = encode_command(*args)
        return structs.replace(
            message, deduplication_id=f"{message.deduplication_id}.{next(numbers)}"
        )

    stack.enter_context(patch.object(relay_commands, "encode", encode_anew))


def _all_on_their_way(stack: ExitStack) -> None:
    stack.enter_context(patch.object(command_rows.MemoryCommands, "_has_turn", lambda *_: True))


def _answers_of_anybody(stack: ExitStack) -> None:
    stack.enter_context(patch.object(command_rows.MemoryCommands, "_may_answer", lambda *_: True))


def _no_expiry(stack: ExitStack) -> None:
    def decode_for_ever(message: QueueMessage) -> QueuedCommand | Withdrawal:
        content = decode_command(message)
        if isinstance(content, Withdrawal):
            return content
        later = content.command.expires_at + timedelta(days=1)
        return replace(content, command=replace(content.command, expires_at=later))

    stack.enter_context(patch.object(send_command, "decode", decode_for_ever))


def _nobody_there(stack: ExitStack) -> None:
    sent = CommandEventKind.SENT
    stack.enter_context(patch.object(send_command, "_outcome", lambda _: (sent, "")))


def _end_is_left(stack: ExitStack) -> None:
    apply = command_rows.MemoryCommands._apply  # noqa: SLF001 - planted into it

    def apply_always(self: command_rows.MemoryCommands, row: Any, events: Any) -> None:  # noqa: ANN401
        row.ended_at = None
        apply(self, row, events)

    stack.enter_context(patch.object(command_rows.MemoryCommands, "_apply", apply_always))


BUGS: Mapping[str, Bug] = {
    "automatic-acknowledgement": Bug(
        "the broker is told at once that a message has arrived", _automatic_acknowledgement
    ),
    "acknowledge-before-enqueue": Bug(
        "a batch is acknowledged before the queue has it", _acknowledge_before_enqueue
    ),
    "ignored-failures": Bug("`Failed` entries of a batch are ignored", _ignored_failures),
    "ignored-failures-of-forwarding": Bug(
        "likewise on the way to the second queue", _ignored_failures_of_forwarding
    ),
    "nothing-held-back": Bug(
        "what follows a failed message of its device is sent all the same", _nothing_held_back
    ),
    "short-visibility": Bug("a visibility timeout shorter than the work", _short_visibility),
    "naive-status": Bug("the last writer wins the device's status", _naive_status),
    "dropped-conflicts": Bug("a second, different reading is dropped", _dropped_conflicts),
    "new-deduplication-ids": Bug(
        "a command that is put into its queue again is another message", _new_deduplication_ids
    ),
    "all-on-their-way": Bug(
        "a device's next command does not wait for the one before", _all_on_their_way
    ),
    "answers-of-anybody": Bug("a device may answer for another one's command", _answers_of_anybody),
    "no-expiry": Bug("a command is sent although its time is over", _no_expiry),
    "nobody-there": Bug("what no device was there to take counts as sent", _nobody_there),
    "end-is-left": Bug("an answer that comes too late moves a command from its end", _end_is_left),
    "swallowed-outage": Bug("an error of the database is logged and forgotten", _swallowed_outage),
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Live with one of BUGS; with none for None."""
    with ExitStack() as stack:
        if name is not None:
            BUGS[name].plant(stack)
        yield
