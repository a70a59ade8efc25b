"""Publishes, strikes, waits, and has the system judged by what the devices know."""

import json
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from plumbline.domain.reason import Reason
from plumbline.local.device_credentials import devices_of
from plumbline.simulator.truth import MalformedLine, ReadingLine, read_truth
from plumbline.simulator.verify import verify
from proofs.chaos import conflicts
from proofs.chaos.commands import UNDECIDED, CommandTraffic, judge_commands
from proofs.chaos.conflicts import ConflictTraffic, judge_conflicts
from proofs.chaos.judge import (
    ChaosReport,
    judge_account,
    judge_cache,
    judge_logs,
    judge_order,
    judge_truth,
    judge_watches,
)
from proofs.chaos.plan import EVERYTHING, PARTS, Fault, Kind, plan_faults
from proofs.chaos.planted import BUGS, Bug
from proofs.chaos.portal import Portal
from proofs.chaos.strike import Striker
from proofs.chaos.system_process import SystemUnderFire
from proofs.chaos.watch import CacheWatch, DatabaseWatch, History, PortalWatch, Watch
from proofs.witness import operator_token, simulated_devices

_SECONDS_A_KILL = 2.5
_SHORTEST_S = 20.0
_START_S = 8.0
_LINE = 300
_COMMAND_EVERY_S = 1.0
_SETTLED_WITHIN_S = 300.0
_MESSAGES_SETTLED_A_SECOND = 500  # a busy machine's, after everything was killed
_COMMANDS_WITHIN_S = 120.0
_PLANTED_COMMANDS_WITHIN_S = 30.0
_NO_MORE_AFTER_S = 20.0
_COMMANDED = 5
_AT_ONCE = 3
_ALL = 1_000_000
_CLOCK_TOLERANCE = timedelta(hours=4)  # more than the clocks jump


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything; the same seed repeats the same faults at the same moments.

    Attributes:
        parts: Which may be struck.
        circumstances: The mistake of ``planted.BUGS`` in whose circumstances to live.
        planted: Whether that mistake is made.
    """

    devices: int
    messages: int
    kills: int
    seed: str
    parts: tuple[str, ...] = PARTS
    circumstances: str | None = None
    planted: bool = False

    @property
    def striking_s(self) -> float:
        """What the faults' moments are fractions of; a new start of everything comes on top."""
        return max(_SHORTEST_S, self.kills * _SECONDS_A_KILL)

    @property
    def publishing_s(self) -> float:
        """How long the devices publish, where nothing holds them up."""
        starts = sum(fault.part == EVERYTHING for fault in self.faults())
        return self.striking_s + starts * _START_S

    @property
    def bug(self) -> Bug | None:
        """The mistake."""
        return None if self.circumstances is None else BUGS[self.circumstances]

    @property
    def settled_within_s(self) -> float:
        """How long what was published may take to get to its end."""
        return _SETTLED_WITHIN_S + self.messages / _MESSAGES_SETTLED_A_SECOND

    def faults(self) -> list[Fault]:
        """Return what strikes, in its order."""
        faults = plan_faults(self.seed, self.kills, self.parts)
        if self.bug is not None:
            faults += self.bug.faults
        return sorted(faults, key=lambda fault: fault.at)


def run_chaos(scale: Scale, say: Callable[[str], None], keep: Path | None = None) -> ChaosReport:
    """Run it.

    Args:
        scale: How much.
        say: Told of each fault as it strikes.
        keep: Data, logs and truth stay there, but for what lies on the small disks.

    Raises:
        NoSmallDisks: Disks shall be filled up, and none can be mounted here.
    """
    report = ChaosReport()
    began = time.monotonic()
    with ExitStack() as stack:
        if keep is None:
            directory = Path(
                stack.enter_context(
                    TemporaryDirectory(prefix="plumbline-chaos-", ignore_cleanup_errors=True)
                )
            )
        else:
            directory = keep
            directory.mkdir(parents=True)
        directory.chmod(0o755)  # the servers' users go through it
        system = SystemUnderFire(
            directory / "data",
            circumstances=scale.circumstances,
            planted=scale.planted,
            small_disks="disks" in scale.parts,
        )
        with system.mounted(), system.proxies.running():
            try:
                system.start()
                _Life(system, scale, report, say).live(directory)
            except pytest.fail.Exception as failure:
                report.wrong.append(" ".join(str(failure).split())[:_LINE])
            finally:
                system.kill_all()
    report.seconds = time.monotonic() - began
    return report


class _Life:
    def __init__(
        self,
        system: SystemUnderFire,
        scale: Scale,
        report: ChaosReport,
        say: Callable[[str], None],
    ) -> None:
        self._system = system
        self._scale = scale
        self._report = report
        self._say = say

    def live(self, directory: Path) -> None:
        """Publish, strike, wait, and judge."""
        system, scale, report = self._system, self._scale, self._report
        fleet = [f"chaos-{number:04d}" for number in range(1, scale.devices + 1)]
        # They go on until the last command has come: a device that is gone executes nothing.
        commanded = [f"told-{number}" for number in range(1, _COMMANDED + 1)]
        interval_s = round(scale.devices * scale.publishing_s / scale.messages, 3)
        truths = [directory / "truth.jsonl", directory / "told.jsonl"]
        portal = Portal(system.endpoints.portal_url, operator_token(system, "chaos"))
        commands = CommandTraffic(portal, commanded, _COMMAND_EVERY_S, scale.seed)
        url = system.device_url
        publishes = {
            "interval_s": interval_s,
            "scenario": "thermal",
            "count": scale.messages,
            "faults": {"malformed": 0.02, "duplicates": 0.02, "late": 0.01},
        }
        listens = {"interval_s": 1.0, "scenario": "thermal", "count": None}
        [torn] = _register(system, [conflicts.DEVICE]).values()
        conflicting = ConflictTraffic(url, torn)
        with (
            simulated_devices(system, fleet, truths[0], publishes, url) as publishing,
            simulated_devices(system, commanded, truths[1], listens, url) as listening,
            self._watched(portal, [*fleet, *commanded]),
        ):
            commands.start()
            conflicting.start()
            self._strike([*fleet, *commanded])
            self._say("no more faults; waiting for the devices")
            if publishing.wait(scale.publishing_s + scale.settled_within_s) != 0:
                report.wrong.append(f"the devices ended with status {publishing.returncode}")
            conflicting.stop()
            commands.stop()
            self._say("waiting for the commands")
            within_s = _COMMANDS_WITHIN_S if not scale.planted else _PLANTED_COMMANDS_WITHIN_S
            states, undisturbed = commands.final_states(within_s), set[str]()
            if not UNDECIDED.intersection(states.values()):
                undisturbed = commands.order_at_once(_AT_ONCE)
                states = commands.final_states(within_s)
            listening.send_signal(signal.SIGINT)
            listening.wait(30)
        report.commands = len(states)
        self._judge_readings(truths, conflicting)
        report.wrong += judge_commands(commands, states, truths[1], undisturbed)
        report.wrong += judge_cache(system)
        report.wrong += judge_logs(system)

    def _strike(self, device_ids: Sequence[str]) -> None:
        scale, report = self._scale, self._report

        def struck(fault: Fault, there: bool) -> None:  # noqa: FBT001 - a callback
            self._say(f"{fault}{'' if there else ' (was not there)'}")
            report.struck[f"{fault.kind}: {fault.part}" if there else "was not there"] += 1

        delay_s = None if scale.bug is None else scale.bug.delay_s
        striker = Striker(self._system, device_ids, delay_s)
        striker.strike(scale.faults(), scale.striking_s, struck)

    @contextmanager
    def _watched(self, portal: Portal, device_ids: Sequence[str]) -> Iterator[None]:
        system = self._system
        endpoints = system.endpoints
        history = History()
        watches: list[Watch] = [
            DatabaseWatch(system.direct("postgres", endpoints.database_url), history),
            CacheWatch(system.direct("redis", endpoints.redis_url), device_ids, history),
            PortalWatch(portal, device_ids, history),
        ]
        for watch in watches:
            watch.start()
        yield
        for watch in watches:
            watch.stop()
        self._report.looks = [watch.looks for watch in watches]
        self._report.wrong += judge_watches(watches)

    def _judge_readings(self, truths: Sequence[Path], conflicting: ConflictTraffic) -> None:
        system, report = self._system, self._report
        in_order = self._scale.bug is None or self._scale.bug.in_order
        url = system.endpoints.database_url
        self._say("waiting until nothing is under way")
        acknowledged = sum(map(_acknowledged, truths)) + conflicting.messages
        self._wait_received(acknowledged)
        report.account = system.settle(self._scale.settled_within_s)
        report.wrong += judge_account(report.account, acknowledged)
        if in_order:
            for truth in truths:
                found = verify(truth, url, limit=_ALL, clock_tolerance=_CLOCK_TOLERANCE)
                report.wrong += judge_order(found, url)
        if any(fault.kind is Kind.JUMP for fault in self._scale.faults()):
            # What a clock that was behind took for the future; its place in the order is gone.
            report.replayed = _replay(system, Reason.TIMESTAMP_IN_FUTURE)
            report.account = system.settle(self._scale.settled_within_s)
            report.wrong += judge_account(report.account, acknowledged)
        for truth in truths:
            found = verify(truth, url, check_order=False, clock_tolerance=_CLOCK_TOLERANCE)
            report.truths.append(found)
            report.wrong += judge_truth(found)
        report.wrong += judge_conflicts(conflicting, url)

    def _wait_received(self, messages: int) -> None:
        """Wait until so many were taken from the broker, or none come any more."""
        taken, since = 0, time.monotonic()
        while taken < messages and time.monotonic() < since + _NO_MORE_AFTER_S:
            done = self._system.run("ledger", "--json")
            if done.stdout and json.loads(done.stdout)["messages"] > taken:
                taken, since = json.loads(done.stdout)["messages"], time.monotonic()


def _replay(system: SystemUnderFire, reason: Reason) -> int:
    """Read refused messages again; return how many became readings."""
    done = system.run("quarantine", "replay", "--reason", reason.value, timeout_s=600)
    found = re.search(r"(\d+) became readings", done.stderr)
    return 0 if found is None else int(found[1])


def _acknowledged(truth: Path) -> int:
    return sum(
        isinstance(line, ReadingLine | MalformedLine) and line.acknowledged_at is not None
        for line in read_truth(truth)
    )


def _register(system: SystemUnderFire, device_ids: list[str]) -> dict[str, str]:
    """Return the new devices' passwords."""
    registry = devices_of(system.data_dir, system.endpoints.database_url)
    return {new.username: new.password for new in registry.add_many(device_ids)}
