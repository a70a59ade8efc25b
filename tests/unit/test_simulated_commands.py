"""Simulated MQTT devices do what they are told, once, and answer each time."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from plumbline.codecs.command_answer import decode_answer
from plumbline.codecs.command_json import encode
from plumbline.codecs.telemetry import decode_message
from plumbline.domain.command import Command, Verb
from plumbline.domain.command_event import CommandEventKind
from plumbline.domain.reading import Reading, Status
from plumbline.simulator.commands import CommandedDevice
from plumbline.simulator.device import make_fleet
from plumbline.simulator.plan import MqttVoice, Publication, Schedule

DEVICE = "sim-0001"


class World:
    """One device and what it says."""

    def __init__(self, *, started: bool = True) -> None:
        self.said: list[Publication] = []
        self.restarts = 0
        self.executed: list[tuple[str, str]] = []
        self.repeated: list[str] = []
        [device] = make_fleet([DEVICE], "steady", 1, datetime.now(UTC))
        self.voice = MqttVoice(device)
        self.schedule = Schedule(0, 5000)
        self.commanded = CommandedDevice(
            DEVICE,
            self._publish,
            self._restart,
            lambda *one: self.executed.append(one),
            self.repeated.append,
        )
        if started:
            self.start()

    def start(self) -> None:
        self.commanded.start(self.voice, self.schedule)

    async def tell(self, verb: Verb, *, life_s: float = 60.0, **params: Any) -> Command:  # noqa: ANN401 - any JSON
        now = datetime.now(UTC)
        command = Command(
            uuid4(), DEVICE, verb, params, issued_at=now, expires_at=now + timedelta(seconds=life_s)
        )
        await self.repeat(command)
        return command

    async def repeat(self, command: Command) -> None:
        self.commanded.take(self.commanded.topic, encode(command).encode())
        for _ in range(5):
            await asyncio.sleep(0)

    def answers(self) -> list[tuple[str, CommandEventKind, str]]:
        found = [
            decode_answer(one.topic, one.payload)
            for one in self.said
            if one.topic.endswith("/commands/ack")
        ]
        return [(str(a.command_id), a.kind, a.detail) for a in found if a is not None]

    def reading(self) -> Reading:
        [publication] = self.voice.reading(
            int(datetime.now(UTC).timestamp() * 1000), 7, twice=False
        )
        return read(publication)

    async def _publish(self, publication: Publication) -> None:
        self.said.append(publication)

    def _restart(self) -> None:
        self.restarts += 1


def read(publication: Publication) -> Reading:
    [reading] = decode_message(publication.topic, publication.payload, datetime.now(UTC))
    assert isinstance(reading, Reading)
    return reading


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_a_command_is_executed_once_and_answered_each_time() -> None:
    async def test() -> None:
        world = World()
        command = await world.tell(Verb.REBOOT)
        await world.repeat(command)
        assert world.restarts == 1
        assert world.executed == [(str(command.command_id), "reboot")]
        expected = (str(command.command_id), CommandEventKind.ACKNOWLEDGED, "")
        assert world.answers() == [expected, expected]
        assert world.repeated == [str(command.command_id)]

    run(test)


def test_a_new_interval_changes_the_schedule() -> None:
    async def test() -> None:
        world = World()
        await world.tell(Verb.SET_INTERVAL, interval_s=2)
        assert world.schedule.step_ms == 2000

    run(test)


def test_a_zeroed_device_measures_from_where_it_is() -> None:
    async def test() -> None:
        world = World()
        before = world.reading()
        await world.tell(Verb.ZERO)
        after = world.reading()
        assert abs(after.tilt_angle_deg) < max(0.02, abs(before.tilt_angle_deg) / 10)
        await world.tell(Verb.ZERO)
        assert abs(world.reading().tilt_angle_deg) < 0.02

    run(test)


def test_a_threshold_decides_what_is_an_alarm() -> None:
    async def test() -> None:
        world = World()
        assert world.reading().status is Status.NORMAL
        await world.tell(Verb.SET_THRESHOLD, threshold_deg=0.0)
        assert world.reading().status is Status.ALARM

    run(test)


def test_a_threshold_that_the_device_has_not_fails() -> None:
    async def test() -> None:
        world = World()
        await world.tell(Verb.SET_THRESHOLD, min_deg=-1.0, max_deg=1.0)
        [(_, kind, detail)] = world.answers()
        assert kind is CommandEventKind.FAILED
        assert "one threshold" in detail
        assert world.executed == []

    run(test)


def test_a_requested_reading_comes_at_once_and_is_the_only_one_of_its_moment() -> None:
    async def test() -> None:
        world = World()
        await world.tell(Verb.REQUEST_READING)
        [requested] = [one for one in world.said if one.topic.endswith("/telemetry")]
        reading = read(requested)
        assert datetime.now(UTC) - reading.observed_at < timedelta(seconds=10)
        at_ms = round(reading.observed_at.timestamp() * 1000)
        [scheduled] = world.voice.reading(at_ms, 9, twice=False)
        assert scheduled.payload == requested.payload

    run(test)


@pytest.mark.parametrize("verb", [Verb.IDENTIFY, Verb.REBOOT])
def test_a_command_after_its_end_is_not_executed(verb: Verb) -> None:
    async def test() -> None:
        world = World()
        await world.tell(verb, life_s=-1.0)
        assert world.executed == []
        assert [kind for _, kind, _ in world.answers()] == [CommandEventKind.FAILED]

    run(test)


def test_what_came_before_the_device_began_is_done_when_it_begins() -> None:
    async def test() -> None:
        world = World(started=False)
        command = await world.tell(Verb.IDENTIFY)
        assert world.said == []
        world.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert world.executed == [(str(command.command_id), "identify")]

    run(test)
