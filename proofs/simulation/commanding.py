"""The way of a command, wired: who issues it, the relay, the functions that send, the devices."""

import itertools
import json
import random
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from fakes import MemoryQueue
from plumbline.application.command_encoding import encode_for_lorawan, encode_for_mqtt
from plumbline.application.issue_command import CommandRequest, Commands
from plumbline.application.relay_commands import RelayCommands
from plumbline.application.send_command import SendCommands
from plumbline.codecs.command_queue import identify
from plumbline.codecs.telemetry import COMMAND_TOPIC
from plumbline.domain.audit import AuditEntry
from plumbline.domain.command import Verb
from plumbline.domain.device import Lorawan, NetworkServer, Protocol
from plumbline.domain.issued_command import Target
from plumbline.domain.publication import Publication, Published
from plumbline.errors import Conflict, StoreUnavailable
from plumbline.ports import Clock, Queue, QueueMessage
from plumbline.topology import TOPOLOGY
from proofs.simulation.broker import SimulatedBroker
from proofs.simulation.command_rows import MemoryCommands
from proofs.simulation.faults import Faults, FaultyQueue, Killed
from proofs.simulation.time import Process, Scheduler
from proofs.simulation.told import (
    CORRELATION,
    CommandWitness,
    Surroundings,
    mqtt_device,
    radio_device,
)

GRACE_S = 1200.0
LONGEST_LIFE_S = 3600
_ISSUE_EVERY_S = 1500.0
_RELAY_EVERY_S = (1.0, 30.0)
_RETRY_S = 10.0
_RUN_S = 30.0
_OPERATOR = "operator"

_EM310 = "milesight-em310-tilt"
TARGETS = (
    Target("told-0", Protocol.MQTT, disabled=False),
    Target("told-1", Protocol.MQTT, disabled=False),
    Target(
        "radio-0",
        Protocol.LORAWAN,
        disabled=False,
        lorawan=Lorawan(
            dev_eui="24e124713c140001",
            network_server=NetworkServer.CHIRPSTACK,
            application="52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
            sensor_model="tektelic-sparrow-t0007xxx",  # does not confirm a reboot
            uplink_interval_s=900,
        ),
    ),
    Target(
        "radio-1",
        Protocol.LORAWAN,
        disabled=False,
        lorawan=Lorawan(
            dev_eui="24e124713c140002",
            network_server=NetworkServer.THINGS_STACK,
            application="walls",
            tenant="ttn",
            network_device_id="wall-7",
            sensor_model=_EM310,
            uplink_interval_s=900,
        ),
    ),
)
_VERBS: Mapping[Protocol, Sequence[tuple[Verb, Mapping[str, Any]]]] = {
    Protocol.MQTT: (
        (Verb.REBOOT, {}),
        (Verb.ZERO, {}),
        (Verb.IDENTIFY, {"duration_s": 5}),
        (Verb.SET_INTERVAL, {"interval_s": 300}),
    ),
    Protocol.LORAWAN: ((Verb.REBOOT, {}), (Verb.SET_INTERVAL, {"interval_s": 600})),
}
_LIVES_S: Mapping[Protocol, Sequence[int]] = {
    Protocol.MQTT: (60, 600, LONGEST_LIFE_S, LONGEST_LIFE_S),
    Protocol.LORAWAN: (1800, LONGEST_LIFE_S),
}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Sent:
    """One publication of a command.

    Attributes:
        taken: Whether some task had a session for it.
        by_clock: What the sender's clock said.
    """

    command_id: UUID
    device_id: str
    taken: bool
    by_clock: datetime
    expires_in_s: int | None


@dataclass(slots=True)
class Seen:
    """What was seen on the way.

    Attributes:
        sent: Every publication of a command, in order.
        received: By command and attempt, its messages in a queue: id to when it was sent there.
        answered: Commands for which the operator has an answer, by idempotency key.
        cancelled: Of these, taken back.
    """

    sent: list[Sent] = field(default_factory=list)
    received: dict[tuple[UUID, int], dict[str, datetime]] = field(default_factory=dict)
    answered: dict[str, UUID] = field(default_factory=dict)
    cancelled: set[UUID] = field(default_factory=set)


class SimulatedPublisher:
    """Publishes to both tasks, over connections that break; see send_command.CommandBroker."""

    def __init__(
        self, broker: SimulatedBroker, faults: Faults, true: Scheduler, clock: Clock, seen: Seen
    ) -> None:
        self._broker = broker
        self._faults = faults
        self._true = true
        self._clock = clock
        self._seen = seen
        self._owners = dict(_topics())

    def publish(self, publications: Sequence[Publication]) -> list[Published]:
        """Publish; see send_command.CommandBroker."""
        faults = self._faults
        faults.may_kill("before publishing")
        results = [Published() for _ in publications]
        taken = [False] * len(publications)
        for address in self._broker.addresses():
            if address in faults.away or faults.strikes("the broker takes no command"):
                for result in results:
                    result.unavailable = address
                continue
            for index, (publication, result) in enumerate(zip(publications, results, strict=True)):
                to = self._owners[publication.topic]
                there = self._broker.hand_out(address, to, publication, self._true.now())
                taken[index] |= there
                if faults.strikes("no acknowledgement of a command"):
                    result.unavailable = address
                else:
                    result.taken |= there
        for publication, there in zip(publications, taken, strict=True):
            self._see(publication, taken=there)
        faults.may_kill("after publishing")
        return results

    def _see(self, publication: Publication, *, taken: bool) -> None:
        command_id = _command_of(publication)
        if command_id is not None:
            device_id = self._owners[publication.topic]
            now, life_s = self._clock.now(), publication.expires_in_s
            self._seen.sent.append(Sent(command_id, device_id, taken, now, life_s))


class Commanding:
    """Everything of a life that is about commands.

    Args:
        fork: Gives each part randomness of its own.
        record: Takes lines of the trace.
        clock: Of the machines, which jumps; the scheduler's is the database's.
        queue: Makes a queue of the topology.
        events: Takes what the functions tell.
    """

    def __init__(  # noqa: PLR0913 - each by keyword
        self,
        *,
        fork: Callable[[str], random.Random],
        record: Callable[[str], None],
        scheduler: Scheduler,
        clock: Clock,
        faults: Faults,
        broker: SimulatedBroker,
        queue: Callable[[str], MemoryQueue],
        events: Queue,
    ) -> None:
        self.rows = MemoryCommands(TARGETS, scheduler, faults, GRACE_S)
        self.queues = {name: queue(name) for name in ("mqtt-command", "lorawan-command")}
        self.witness = CommandWitness()
        self.seen = Seen()
        self.issues = True
        self._fork, self._record = fork, record
        self._scheduler, self._clock = scheduler, clock
        self._faults, self._broker, self._events = faults, broker, events

    def operator(self) -> Process:
        """Issue commands, each until it is answered, and take some back."""
        rng, ids = self._fork("operator"), self._fork("command ids")
        commands = Commands(
            self.rows, self._clock, lambda: UUID(int=ids.getrandbits(128), version=4)
        )
        numbers = itertools.count()
        while True:
            yield rng.expovariate(1 / _ISSUE_EVERY_S)
            if not self.issues:
                return
            target = rng.choice(TARGETS)
            for _ in range(rng.choice([1, 1, 3])):
                verb, params = rng.choice(_VERBS[target.protocol])
                life_s = rng.choice(_LIVES_S[target.protocol])
                request = CommandRequest(target.device_id, verb, params, life_s)
                key = f"key-{next(numbers)}"
                while key not in self.seen.answered:
                    with suppress(Killed, StoreUnavailable):
                        issued = _now(commands.issue(request, _OPERATOR, _audit, key))
                        self.seen.answered[key] = issued.command.command_id
                        self._record(f"{target.device_id} is told {issued.command.command_id}")
                        break
                    yield rng.uniform(0.5, 1.5) * _RETRY_S
            if rng.random() < 0.1 and self.rows.open:
                wanted = rng.choice(list(self.rows.open))
                with suppress(Conflict, StoreUnavailable):
                    _now(commands.cancel(wanted, _audit))
                    self.seen.cancelled.add(wanted)
                    self._record(f"{wanted} is taken back")

    def relay(self, number: int, process: Callable[[str], Any]) -> Process:
        """Take turns, as each of the portal's processes does."""
        rng = self._fork(f"relay {number}")
        queues = {name: FaultyQueue(one, self._faults) for name, one in self.queues.items()}
        relay = RelayCommands(self.rows, queues)
        while True:
            yield rng.uniform(*_RELAY_EVERY_S)
            if self.rows.open:
                with process(f"relay {number}"):
                    report = relay.run()
                    if not report.idle:
                        self._record(f"relayed {report}")

    def sender(self, name: str) -> Callable[[Sequence[QueueMessage]], set[str]]:
        """Return the function that sends from a queue; one that dies begins anew."""
        encode = encode_for_mqtt if name == "mqtt-command" else encode_for_lorawan
        publisher = SimulatedPublisher(
            self._broker, self._faults, self._scheduler, self._clock, self.seen
        )
        make = partial(
            SendCommands,
            publisher,
            FaultyQueue(self._events, self._faults),
            self._clock,
            encode,
            TOPOLOGY.queue(name).max_receive_count,
        )
        alive = [make()]

        def send(messages: Sequence[QueueMessage]) -> set[str]:
            for message in messages:
                identity = identify(message)
                of_attempt = self.seen.received.setdefault(
                    (identity.command_id, identity.attempt), {}
                )
                if message.attributes.get("type") == "command":
                    of_attempt[message.message_id] = message.sent_at
            try:
                report = alive[0].run(messages, lambda: _RUN_S)
            except Killed:
                alive[0] = make()
                raise
            self._record(f"{name} sent {dict(report.events)}, {len(report.failed)} failed")
            return set(report.failed)

        return send

    def devices(self) -> Iterator[Process]:
        """Yield the lives of everybody who is told something."""
        addresses = self._broker.addresses()
        for number, target in enumerate(TARGETS):
            around = Surroundings(
                rng=self._fork(target.device_id),
                clock=self._scheduler,
                broker=self._broker,
                faults=self._faults,
                witness=self.witness,
                record=self._record,
                address=addresses[number % len(addresses)],
            )
            if target.lorawan is None:
                overheard = partial(self._of_another, target.device_id, around.rng)
                yield mqtt_device(target.device_id, around, overheard)
            else:
                yield radio_device(target.device_id, target.lorawan, around)

    def _of_another(self, device_id: str, rng: random.Random) -> UUID | None:
        others = [i for i, row in self.rows.open.items() if row.command.device_id != device_id]
        return rng.choice(others) if others else None


def _audit(action: str, target: str, detail: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(_OPERATOR, "token", action, target, detail)


def _now(work: Coroutine[Any, Any, _T]) -> _T:
    """Run what never waits: nothing here does."""
    try:
        work.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    msg = "it waits"
    raise RuntimeError(msg)


def _topics() -> Iterator[tuple[str, str]]:
    for target in TARGETS:
        lorawan = target.lorawan
        if lorawan is None:
            yield COMMAND_TOPIC.format(device_id=target.device_id), target.device_id
        elif lorawan.network_server is NetworkServer.CHIRPSTACK:
            device = f"application/{lorawan.application}/device/{lorawan.dev_eui}"
            yield f"{device}/command/down", target.device_id
        else:
            device = f"v3/{lorawan.application}@{lorawan.tenant}/devices"
            for verb in ("push", "replace"):
                yield f"{device}/{lorawan.network_device_id}/down/{verb}", target.device_id


def _command_of(publication: Publication) -> UUID | None:
    """Return which command is published; None for a withdrawal."""
    members = json.loads(publication.payload)
    if "downlinks" in members:
        ids = [one["correlation_ids"][0].removeprefix(CORRELATION) for one in members["downlinks"]]
        return UUID(ids[0]) if ids else None
    return UUID(members.get("command_id") or members["id"])
