"""The whole fleet: every device a real MQTT connection with its own credentials."""

import asyncio
import resource
import signal
import sys
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, TextIO

from plumbline.errors import ConfigurationError
from plumbline.simulator.commands import CommandedDevice
from plumbline.simulator.config import LorawanPart, SimulationConfig
from plumbline.simulator.connection import DeviceConnection
from plumbline.simulator.device import Device, make_fleet
from plumbline.simulator.faults import DISCONNECT
from plumbline.simulator.listening import ListeningConnection
from plumbline.simulator.lorawan.fleet import LorawanFleet
from plumbline.simulator.lorawan.radio import Downlink
from plumbline.simulator.lorawan.sender import Sender
from plumbline.simulator.noise import uniform
from plumbline.simulator.plan import MqttVoice, Publication, Schedule, Voice, backlog, plan
from plumbline.simulator.progress import Show, progress
from plumbline.simulator.summary import SimulationSummary
from plumbline.simulator.truth_writer import FLUSH_EVERY_S, VERSION, TruthWriter

DRAIN_TIMEOUT_S = 60.0
"""How long the end of a run waits for the last acknowledgements."""

STOP_TIMEOUT_S = 5.0
"""The same, after the run was stopped."""

LONGEST_BACKLOG_S = 50 * 86_400.0
"""Span of the readings published at once, silences not counted; refused would be 90 days."""

_KEEP_ALIVE_EVERY_S = 5.0
_PHASE_STREAM = 301
_SPARE_DESCRIPTORS = 64
_NO_LORAWAN = LorawanPart()


def run_simulation(
    config: SimulationConfig,
    credentials: Mapping[str, str],
    truth_path: Path | None,
    messages: TextIO | None = None,
    lorawan: LorawanPart = _NO_LORAWAN,
) -> SimulationSummary:
    """Run a simulation to its end, or until SIGINT or SIGTERM.

    Args:
        config: What to simulate.
        credentials: Password by device id; the order of the ids is the fleet's.
        truth_path: The truth file, to which the run is appended; None writes none.
        messages: Where the progress (if a terminal) and the summary go; stderr if None.
        lorawan: Devices behind network servers.

    Raises:
        ConfigurationError: A setting is wrong, or the broker refuses a device's credentials.
        BrokerUnavailable: Some device could not connect for the first time.
    """
    messages = messages or sys.stderr

    async def main() -> SimulationSummary:
        stop = asyncio.Event()
        with _stopping_by_signal(stop):
            return await simulate(config, credentials, truth_path, messages, stop, lorawan)

    summary = asyncio.run(main())
    messages.write(f"{summary}\n")
    return summary


async def simulate(  # noqa: PLR0913, PLR0917 - those of `run_simulation`, and the end
    config: SimulationConfig,
    credentials: Mapping[str, str],
    truth_path: Path | None,
    messages: TextIO,
    stop: asyncio.Event,
    lorawan: LorawanPart = _NO_LORAWAN,
) -> SimulationSummary:
    """Run a simulation to its end, or until ``stop`` is set; see `run_simulation`."""
    if not credentials and not lorawan.devices:
        msg = "credentials: at least one device"
        raise ConfigurationError(msg)
    _allow_descriptors(len(credentials) + _SPARE_DESCRIPTORS)
    with TruthWriter(truth_path) as truth, progress(config, messages) as show:
        fleet = _Fleet(config, credentials, truth, lorawan)
        try:
            await _first(fleet.connect(), fleet.stay_connected(), stop.wait())
            fleet.begin()
            if not stop.is_set():
                await _first(fleet.publish(), fleet.stay_connected(), fleet.tick(show), stop.wait())
            stopped = stop.is_set()
            timeout_s = STOP_TIMEOUT_S if stopped else DRAIN_TIMEOUT_S
            await _first(
                fleet.drained(), fleet.stay_connected(), fleet.tick(show), timeout_s=timeout_s
            )
        finally:
            await fleet.close()
        fleet.end(stopped=stopped)
        show(fleet.summary, fleet.summary.elapsed_s)
        return fleet.summary


@dataclass(frozen=True, slots=True)
class _Member:
    """One device of the fleet: what it measures, how it speaks, and over which connection."""

    device: Device
    connection: DeviceConnection
    voice: Voice
    sender: Sender | None = None


class _Fleet:
    """The devices of one run."""

    def __init__(
        self,
        config: SimulationConfig,
        credentials: Mapping[str, str],
        truth: TruthWriter,
        lorawan: LorawanPart,
    ) -> None:
        self.summary = SimulationSummary(devices=len(credentials) + len(lorawan.devices))
        self._config = config
        self._truth = truth
        self._run = token_hex(6)
        self._loop = asyncio.get_running_loop()
        endpoint = config.endpoint()
        self._mqtt_devices = {
            device_id: CommandedDevice(
                device_id,
                partial(self._say, device_id),
                partial(self._restart, device_id),
                partial(self._on_command, device_id),
                partial(self._on_repeated, device_id),
            )
            for device_id in credentials
        }
        self._by_device: dict[str, DeviceConnection] = {
            device_id: ListeningConnection(
                device_id, password, endpoint, self._on_outcome, [listener.topic], listener.take
            )
            for (device_id, password), listener in zip(
                credentials.items(), self._mqtt_devices.values(), strict=True
            )
        }
        self._lorawan = LorawanFleet(
            lorawan,
            endpoint,
            config.faults.lost_downlinks,
            on_outcome=self._on_outcome,
            on_executed=self._on_executed,
        )
        self._connections = [*self._by_device.values(), *self._lorawan.connections]
        self._members: list[_Member] = []
        self._started_ms = 0
        self._started = 0.0  # the loop's clock, which nobody sets back
        self._answered = 0.0

    async def connect(self) -> None:
        """Connect all."""
        timeout_s = self._config.connect_timeout_s
        await asyncio.gather(*(one.connect(timeout_s) for one in self._connections))

    def begin(self) -> None:
        """Fix the start, make the devices, and write down what is true about them."""
        config = self._config
        now = datetime.now(UTC)
        self._started_ms = int(now.timestamp() * 1000)
        self._started = self._answered = self._loop.time()
        epoch = config.epoch or now
        ids = [*self._by_device, *self._lorawan.device_ids]
        devices = make_fleet(ids, config.scenario, config.seed, epoch)
        mqtt = len(self._by_device)
        self._members = [
            _Member(device, self._by_device[device.device_id], MqttVoice(device))
            for device in devices[:mqtt]
        ]
        for device in devices[mqtt:]:
            sender, connection = self._lorawan.add(device)
            self._members.append(_Member(device, connection, sender, sender))
        self._truth.line(
            "run",
            run=self._run,
            version=VERSION,
            seed=config.seed,
            scenario=config.scenario,
            started_at=now,
            epoch=epoch,
            parameters=config.parameters(),
        )
        for device in devices:
            self._truth.line("device", device=device.device_id, truth=device.describe())
        self._truth.flush()

    async def publish(self) -> None:
        """Publish everything."""
        await asyncio.gather(
            *(self._drive(index, member) for index, member in enumerate(self._members)),
        )

    async def drained(self) -> None:
        """Return when everything is acknowledged."""
        await asyncio.gather(*(connection.drained() for connection in self._connections))

    async def tick(self, show: Show) -> None:
        """Write down and show what has happened, for ever."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self._truth.flush()
            show(self.summary, self._loop.time() - self._started)

    async def stay_connected(self) -> None:
        """Ping when that is due, for ever: also while others are still connecting."""
        every_s = min(_KEEP_ALIVE_EVERY_S, self._config.keep_alive_s / 4)
        while True:
            await asyncio.sleep(every_s)
            for connection in self._connections:
                connection.keep_alive()

    async def close(self) -> None:
        """Disconnect all."""
        await asyncio.gather(*(connection.close() for connection in self._connections))

    def end(self, *, stopped: bool) -> None:
        """Write down what got no answer, and that the run ended in order."""
        for connection in self._connections:
            for publication in connection.unacknowledged():
                self._record(publication, None)
            self.summary.reconnects += max(0, connection.connections - 1)
        self.summary.stopped = stopped
        self.summary.elapsed_s = self._answered - self._started
        self._truth.line(
            "end", run=self._run, ended_at=datetime.now(UTC), summary=self.summary.as_dict()
        )

    async def _drive(self, index: int, member: _Member) -> None:
        config, connection = self._config, member.connection
        schedule = self._schedule(index, member.device)
        if member.sender is not None:
            await self._lorawan.start(member.sender, schedule)
        elif isinstance(member.voice, MqttVoice):
            self._mqtt_devices[member.device.device_id].start(member.voice, schedule)
        for turn in plan(member.device, schedule, config.faults, member.voice):
            if not config.at_once:
                due = self._started + (turn.due_ms - self._started_ms) / 1000
                await asyncio.sleep(max(0.0, due - self._loop.time()))
            for publication in turn.publications:
                await connection.publish(publication)
                self.summary.add_published(publication)
            if member.sender is not None:
                await self._lorawan.after_uplink(member.sender, turn.due_ms)
            if turn.disconnect:
                self.summary.faults[DISCONNECT] += 1
                connection.cut()

    def _schedule(self, index: int, device: Device) -> Schedule:
        config = self._config
        step_ms = round(config.interval_s * 1000)
        count = None
        if config.count is not None:
            every, rest = divmod(config.count, len(self._members))
            count = every + (index < rest)
        if config.at_once and count is not None:
            step_ms = min(step_ms, int(LONGEST_BACKLOG_S * 1000 / max(1, count)))
            return backlog(device, count, step_ms, self._started_ms)
        phase = uniform(device.seed, 0, _PHASE_STREAM)  # devices do not measure all together
        first_ms = self._started_ms + int(phase * step_ms)
        until_ms = None
        if config.duration_s is not None:
            until_ms = self._started_ms + round(config.duration_s * 1000)
        elif count is not None:
            until_ms = first_ms + count * step_ms  # a silence may last longer than anyone waits
        return Schedule(first_ms, step_ms, count, until_ms)

    def _on_outcome(self, publication: Publication, code: int) -> None:
        self._answered = self._loop.time()
        self._record(publication, code)

    async def _say(self, device_id: str, publication: Publication) -> None:
        await self._by_device[device_id].publish(publication)
        if publication.witnessed:
            self.summary.add_published(publication)

    def _restart(self, device_id: str) -> None:
        self._by_device[device_id].cut()

    def _on_command(self, device_id: str, command_id: str, command: str) -> None:
        self.summary.commands += 1
        self._truth.line(
            "command",
            device=device_id,
            command_id=command_id,
            command=command,
            executed_at=datetime.now(UTC),
        )

    def _on_repeated(self, device_id: str, command_id: str) -> None:
        self._truth.line(
            "repetition", device=device_id, command_id=command_id, came_at=datetime.now(UTC)
        )

    def _on_executed(self, sender: Sender, downlink: Downlink) -> None:
        self.summary.downlinks += 1
        self._truth.line(
            "downlink",
            device=sender.device.device_id,
            item=downlink.identity,
            f_port=downlink.f_port,
            data=downlink.payload.hex(),
            f_cnt_down=downlink.f_cnt,
            confirmed=downlink.confirmed,
            executed_at=datetime.now(UTC),
        )

    def _record(self, publication: Publication, code: int | None) -> None:
        if not publication.witnessed:
            return
        self.summary.add_outcome(publication, code)
        self._truth.publication(publication, code)


async def _first(*work: Coroutine[Any, Any, object], timeout_s: float | None = None) -> None:
    """Run together until one is done or the time is up; stop the others, raise its error."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


@contextmanager
def _stopping_by_signal(stop: asyncio.Event) -> Iterator[None]:
    """Set ``stop`` at SIGINT and SIGTERM; signals reach the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _allow_descriptors(needed: int) -> None:
    """Raise the soft limit of open files, where it is too low for that many connections.

    Raises:
        ConfigurationError: The hard limit is too low.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        msg = f"devices: need {needed} open files, the hard limit is {hard}"
        raise ConfigurationError(msg)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
