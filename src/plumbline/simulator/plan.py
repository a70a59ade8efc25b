"""What one device publishes and when, faults included: a pure function of device and schedule."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from plumbline.codecs.telemetry import TELEMETRY_TOPIC
from plumbline.simulator.device import Device
from plumbline.simulator.faults import (
    DUPLICATE,
    DUPLICATE_READINGS,
    LATE,
    LATE_READINGS,
    MALFORMED_FAULT,
    OUT_OF_ORDER,
    OUT_OF_ORDER_READINGS,
    Faults,
)
from plumbline.simulator.malformed import MALFORMED, Refused
from plumbline.simulator.noise import uniform
from plumbline.simulator.payload import encode, moment, reading_members

_DUPLICATE_STREAM = 201
_LATE_STREAM = 202
_ORDER_STREAM = 203
_MALFORMED_STREAM = 204
_DISCONNECT_STREAM = 205
_DELAY_STREAM = 206
_KIND_STREAM = 207


@dataclass(slots=True)
class Publication:
    """One message that a device publishes, and what became of it.

    Attributes:
        device_id: Who publishes.
        topic: Its telemetry topic.
        payload: Exact bytes.
        faults: Names of the faults planted in it.
        malformed: Its kind, where it must be refused.
        expected: The reading that it must become, as JSON, where that is not its payload.
        witnessed: Whether the truth file has a line for it.
        number: Order of publishing, from 0, within the device; -1 before.
        connection: Number of the device's connection on which it was (last) sent.
        attempts: How many times it was sent.
        published_at: Unix seconds of the first attempt.
    """

    device_id: str
    topic: str
    payload: bytes
    faults: tuple[str, ...] = ()
    malformed: Refused | None = None
    expected: bytes | None = None
    witnessed: bool = True
    number: int = -1
    connection: int = 0
    attempts: int = 0
    published_at: float = 0.0


@dataclass(slots=True)
class Turn:
    """What a device does at one moment.

    Attributes:
        due_ms: Unix milliseconds.
        publications: In order; none where everything of this moment is held back.
        disconnect: Lose the connection afterwards.
    """

    due_ms: int
    publications: list[Publication] = field(default_factory=list)
    disconnect: bool = False


@dataclass(slots=True)
class Schedule:
    """When one device measures: first, first + step, and so on.

    Attributes:
        first_ms: Unix milliseconds.
        step_ms: At least 2: the odd moments between belong to malformed messages. May be changed
            while the schedule is under way.
        count: How many readings, or None.
        until_ms: Exclusive, or None; with neither the schedule does not end.
    """

    first_ms: int
    step_ms: int
    count: int | None = None
    until_ms: int | None = None


def backlog(device: Device, count: int, step_ms: int, end_ms: int) -> Schedule:
    """Return the schedule of the last ``count`` readings that the device has made before a time."""
    first_ms, found = end_ms, 0
    while found < count:
        first_ms -= step_ms
        found += not device.is_silent(first_ms)
    return Schedule(first_ms, step_ms, count)


class Voice(Protocol):
    """How a device says what it measures."""

    def reading(self, at_ms: int, index: int, *, twice: bool) -> list[Publication]:
        """Return the message of a reading; with ``twice``, a planted duplicate behind it."""
        ...

    def malformed(self, at_ms: int) -> Publication:
        """Return a message that must be refused."""
        ...


class MqttVoice:
    """A device that is a client of the broker itself.

    Attributes:
        device: What it measures; commands replace it.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._topic = TELEMETRY_TOPIC.format(device_id=device.device_id)
        self._next_index = 0
        self._requested: dict[int, bytes] = {}

    def reading(self, at_ms: int, index: int, *, twice: bool) -> list[Publication]:
        """Return the message of a reading; with ``twice``, the same again."""
        self._next_index = index + 1
        # Of one moment there is one reading, also where somebody has just asked for it.
        payload = self._requested.get(at_ms) or self._payload(at_ms, index + len(self._requested))
        messages = [self._publication(payload)]
        if twice:
            messages.append(self._publication(payload, (DUPLICATE,)))
        return messages

    def requested(self, at_ms: int) -> Publication:
        """Return the message of a reading that somebody has asked for."""
        payload = self._payload(at_ms, self._next_index + len(self._requested))
        self._requested[at_ms] = payload
        return self._publication(payload)

    def malformed(self, at_ms: int) -> Publication:
        """Return a message that must be refused."""
        device = self.device
        kind = MALFORMED[int(uniform(device.seed, at_ms, _KIND_STREAM) * len(MALFORMED))]
        payload = kind.make(device.device_id, moment(at_ms))
        return self._publication(
            payload, (MALFORMED_FAULT, kind.name), Refused(kind.name, kind.reason)
        )

    def _publication(
        self, payload: bytes, faults: tuple[str, ...] = (), malformed: Refused | None = None
    ) -> Publication:
        return Publication(self.device.device_id, self._topic, payload, faults, malformed)

    def _payload(self, at_ms: int, index: int) -> bytes:
        return encode(reading_members(self.device, at_ms, index))


def plan(
    device: Device, schedule: Schedule, faults: Faults, voice: Voice | None = None
) -> Iterator[Turn]:
    """Yield the device's turns in the order of time; what is held back comes at the end at last."""
    voice = voice or MqttVoice(device)
    seed = device.seed
    held: list[tuple[int, int, Publication]] = []  # (reading after which it goes, tie, what)
    at_ms = schedule.first_ms
    made = 0
    while schedule.count is None or made < schedule.count:
        if schedule.until_ms is not None and at_ms >= schedule.until_ms:
            break
        if device.is_silent(at_ms):
            at_ms += schedule.step_ms
            continue
        turn = Turn(at_ms)
        twice = uniform(seed, at_ms, _DUPLICATE_STREAM) < faults.duplicates
        reading, *copies = voice.reading(at_ms, made, twice=twice)
        delay = _delay(device, at_ms, faults, reading)
        if delay:
            heapq.heappush(held, (made + delay, 2 * made, reading))
        else:
            turn.publications.append(reading)
        for copy in copies:
            after = made + delay + _between(device, at_ms, DUPLICATE_READINGS)
            heapq.heappush(held, (after, 2 * made + 1, copy))
        if uniform(seed, at_ms, _MALFORMED_STREAM) < faults.malformed:
            turn.publications.append(voice.malformed(at_ms + 1))
        while held and held[0][0] <= made:
            turn.publications.append(heapq.heappop(held)[2])
        turn.disconnect = uniform(seed, at_ms, _DISCONNECT_STREAM) < faults.disconnects
        yield turn
        made += 1
        at_ms += schedule.step_ms
    if held:
        yield Turn(at_ms - schedule.step_ms, [publication for _, _, publication in sorted(held)])


def _delay(device: Device, at_ms: int, faults: Faults, reading: Publication) -> int:
    """Return behind how many later readings this one is held, and mark it."""
    if uniform(device.seed, at_ms, _LATE_STREAM) < faults.late:
        reading.faults = (LATE,)
        return _between(device, at_ms, LATE_READINGS)
    if uniform(device.seed, at_ms, _ORDER_STREAM) < faults.out_of_order:
        reading.faults = (OUT_OF_ORDER,)
        return _between(device, at_ms, OUT_OF_ORDER_READINGS)
    return 0


def _between(device: Device, at_ms: int, bounds: tuple[int, int]) -> int:
    low, high = bounds
    return low + int(uniform(device.seed, at_ms, _DELAY_STREAM) * (high - low + 1))
