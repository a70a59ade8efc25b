"""Devices and network servers that are told something, and the witness of what they do."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from plumbline.codecs.command_json import decode
from plumbline.codecs.telemetry import ACKNOWLEDGEMENT_TOPIC
from plumbline.domain.device import Lorawan, NetworkServer
from plumbline.domain.publication import Publication
from plumbline.domain.reading import format_time
from proofs.simulation.broker import SimulatedBroker
from proofs.simulation.faults import Faults
from proofs.simulation.time import Process, Scheduler

_RETRY_S = 20.0
_LOOK_S = (10.0, 120.0)
_UPLINK_S = (300.0, 900.0)
_LONGEST_ABSENCE_S = 3600.0
CORRELATION = "plumbline:"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device or its network server said about a command, and the broker acknowledged."""

    device_id: str
    command_id: UUID
    done: bool | None
    """Whether it is done; None where it is only on its way."""


@dataclass(slots=True)
class CommandWitness:
    """Stands beside the devices.

    Attributes:
        executed: By device, commands in the order in which it did them, and when.
        answers: Acknowledged by the broker.
        forged: Payloads of answers to commands of other devices.
    """

    executed: dict[str, list[tuple[UUID, datetime]]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    forged: list[bytes] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What everybody who is told something has around them."""

    rng: random.Random
    clock: Scheduler
    broker: SimulatedBroker
    faults: Faults
    witness: CommandWitness
    record: Callable[[str], None]
    address: str

    def chance(self, probability: float) -> bool:
        """Tell whether something happens that needs no fault, but ends with them."""
        return self.faults.active and self.rng.random() < probability

    def say(self, topic: str, payload: bytes, answer: Answer | None) -> Process:
        """Publish with QoS 1 until that is acknowledged."""
        while not self.broker.publish(self.address, topic, payload):
            yield self.rng.uniform(0.5, 1.5) * _RETRY_S
        if answer is not None:
            self.witness.answers.append(answer)

    def execute(self, device_id: str, command_id: UUID) -> None:
        """Do a command."""
        of_device = self.witness.executed.setdefault(device_id, [])
        of_device.append((command_id, self.clock.now()))
        self.record(f"{device_id} does {command_id}")


def mqtt_device(
    device_id: str, around: Surroundings, overheard: Callable[[], UUID | None]
) -> Process:
    """Live as a device that does each command once and answers it each time.

    Args:
        overheard: A command of another device, which this one answers at times.
    """
    topic = ACKNOWLEDGEMENT_TOPIC.format(device_id=device_id)
    statuses: dict[UUID, str] = {}
    if around.chance(0.3):
        yield around.rng.uniform(0, 2 * _LONGEST_ABSENCE_S)  # has never been there
    around.broker.subscribe(around.address, device_id)
    while True:
        yield around.rng.uniform(*_LOOK_S)
        if around.chance(0.01):
            yield around.rng.uniform(0, _LONGEST_ABSENCE_S)
        for publication in around.broker.take(around.address, device_id, around.clock.now()):
            for _ in range(1 + around.faults.strikes("a command arrives twice")):
                command = decode(publication.payload.decode(), device_id)
                status = statuses.get(command.command_id)
                if status is None:
                    status = "failed" if around.chance(0.1) else "acknowledged"
                    statuses[command.command_id] = status
                    if status == "acknowledged":
                        around.execute(device_id, command.command_id)
                if not around.chance(0.05):  # to stop before the answer
                    done = status == "acknowledged"
                    answer = Answer(device_id, command.command_id, done)
                    yield from around.say(topic, _answer(command.command_id, status), answer)
        other = overheard() if around.chance(0.02) else None
        if other is not None:
            forged = _answer(other, "acknowledged")
            around.witness.forged.append(forged)
            yield from around.say(topic, forged, None)


def _answer(command_id: UUID, status: str) -> bytes:
    return json.dumps({"command_id": str(command_id), "status": status, "detail": ""}).encode()


def radio_device(device_id: str, lorawan: Lorawan, around: Surroundings) -> Process:
    """Live as a LoRaWAN device and its network server: one downlink after each uplink."""
    server = _Chirpstack if lorawan.network_server is NetworkServer.CHIRPSTACK else _ThingsStack
    network = server(device_id, lorawan, around)
    around.broker.subscribe(around.address, device_id)
    while True:
        yield around.rng.uniform(*_UPLINK_S)
        for publication in around.broker.take(around.address, device_id, around.clock.now()):
            network.take(publication)
        for item in network.transmit():
            heard = not around.chance(0.1)
            if heard:
                around.execute(device_id, item.command_id)
            for topic, event, done in network.answers(item, heard=heard):
                answer = Answer(device_id, item.command_id, done)
                yield from around.say(topic, json.dumps(event).encode(), answer)


@dataclass(frozen=True, slots=True)
class _Item:
    command_id: UUID
    confirmed: bool
    expires_at: datetime | None = None


Events = Iterator[tuple[str, dict[str, Any], bool | None]]
"""Topic, event, and whether it says that the command is done."""


@dataclass(slots=True)
class _Network:
    """A network server's queue of one device."""

    device_id: str
    lorawan: Lorawan
    around: Surroundings
    queue: list[_Item] = field(default_factory=list)


class _Chirpstack(_Network):
    """Knows an item by its id as long as it has it, and drops it at its end."""

    def take(self, publication: Publication) -> None:
        """Put a downlink into the queue."""
        given = json.loads(publication.payload)
        item = _Item(
            UUID(given["id"]), given["confirmed"], datetime.fromisoformat(given["expiresAt"])
        )
        if item.command_id not in {one.command_id for one in self.queue}:
            self.queue.append(item)

    def transmit(self) -> list[_Item]:
        """Return what goes out after this uplink: one at most."""
        now = self.around.clock.now()
        self.queue = [one for one in self.queue if one.expires_at is None or now < one.expires_at]
        return [self.queue.pop(0)] if self.queue else []

    def answers(self, item: _Item, *, heard: bool) -> Events:
        """Say what became of it."""
        event = {
            "time": format_time(self.around.clock.now()),
            "deviceInfo": {"devEui": self.lorawan.dev_eui},
            "queueItemId": str(item.command_id),
        }
        application = self.lorawan.application
        topic = f"application/{application}/device/{self.lorawan.dev_eui}/event"
        yield f"{topic}/txack", event, None
        if item.confirmed:
            yield f"{topic}/ack", event | {"acknowledged": heard}, heard


class _ThingsStack(_Network):
    """Looks at no time, and sends again what was not confirmed."""

    def take(self, publication: Publication) -> None:
        """Put downlinks into the queue, or others in the place of all."""
        if publication.topic.endswith("/replace"):
            self.queue.clear()
        for given in json.loads(publication.payload)["downlinks"]:
            (correlation,) = given["correlation_ids"]
            command_id = UUID(correlation.removeprefix(CORRELATION))
            self.queue.append(_Item(command_id, given["confirmed"]))

    def transmit(self) -> list[_Item]:
        """Return what goes out after this uplink: one at most."""
        return [self.queue.pop(0)] if self.queue else []

    def answers(self, item: _Item, *, heard: bool) -> Events:
        """Say what became of it."""
        names = ["sent", *([] if not item.confirmed else ["ack"] if heard else ["nack"])]
        if names[-1] == "nack":
            self.queue.insert(0, item)
        lorawan = self.lorawan
        topic = f"v3/{lorawan.application}@{lorawan.tenant}/devices/{lorawan.network_device_id}"
        for name in names:
            event = {
                "end_device_ids": {"device_id": lorawan.network_device_id},
                "received_at": format_time(self.around.clock.now()),
                f"downlink_{name}": {"correlation_ids": [f"{CORRELATION}{item.command_id}"]},
            }
            yield f"{topic}/down/{name}", event, True if name == "ack" else None
