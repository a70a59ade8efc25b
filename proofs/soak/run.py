"""Starts a system, lets it work for hours, and judges what has grown."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from e2e.conftest import System
from plumbline.simulator.verify import verify
from plumbline.simulator.verify_report import VerifyReport
from proofs.chaos.commands import CommandTraffic, judge_commands
from proofs.chaos.portal import Portal
from proofs.chaos.system_process import logs_of
from proofs.soak.drift import Drift, Limit, drifts
from proofs.soak.leaks import ENVIRONMENT, LEAKS_SETTING, PROGRAM
from proofs.soak.plot import plot
from proofs.soak.sampler import Sampler, Samples
from proofs.soak.visitors import Visitors
from proofs.witness import operator_token, simulated_devices

LIMITS: Mapping[str, Limit] = {
    "own_mb": Limit(2, 12, "MB"),
    "files": Limit(1, 4),
    "sockets": Limit(1, 6),
    "threads": Limit(0.5, 3),
    "postgres.connections": Limit(1, 4),
    # Each connection opens the files of the tables that it has used, once.
    "postgres.files": Limit(20, 600),
    # A buffer of PostgreSQL's own shared memory is counted where it is first touched.
    "postgres.own_mb": Limit(2, 30, "MB"),
    "mosquitto.sockets": Limit(10, 20),
    "redis.used_mb": Limit(1, 4, "MB"),
    "redis.clients": Limit(1, 4),
    "redis.keys": Limit(10, 200),
    "waiting": Limit(100, 500),
    "directory mosquitto.disk_mb": Limit(2, 40, "MB"),
    "directory redis.disk_mb": Limit(4, 64, "MB"),
}
"""By series, or by what is measured of each part; in an hour of load.

What the readings themselves take, in ``postgres.database_mb``, is reported and grows with them.
"""

_SAMPLES = 120
_FEWEST_SECONDS = 1.0
_MOST_SECONDS = 10.0
_COMMAND_EVERY_S = 5.0
_REQUEST_EVERY_S = 0.5
_STATUS_WITHIN_S = 10.0
_CONNECTED_WITHIN_S = 900.0
_SETTLED_WITHIN_S = 300.0
_COMMANDS_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Load:
    """How much, and for how long.

    Attributes:
        hours: Of load.
        readings: That all devices together publish in ``every_s``.
        every_s: Seconds; each device publishes in steps of its share.
        pace: How many hours of load are lived in one.
        warm_up: Part of the run that is not judged.
        leaks: Planted ones.
    """

    hours: float
    readings: int
    every_s: float
    devices: int
    seed: str
    pace: float = 1.0
    warm_up: float = 0.25
    leaks: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Seconds of publishing."""
        return self.hours * 3600 / self.pace

    @property
    def interval_s(self) -> float:
        """Seconds between two readings of a device."""
        return round(self.every_s * self.devices / self.readings / self.pace, 3)

    @property
    def sample_every_s(self) -> float:
        """Seconds."""
        return min(_MOST_SECONDS, max(_FEWEST_SECONDS, self.duration_s / _SAMPLES))


@dataclass(slots=True)
class SoakReport:
    """What was seen, and what is wrong with it."""

    load: Load
    samples: Samples = field(default_factory=Samples)
    drifts: list[Drift] = field(default_factory=list)
    answers: Mapping[str, int] = field(default_factory=dict)
    commands: int = 0
    account: dict[str, Any] = field(default_factory=dict)
    truth: VerifyReport = field(default_factory=VerifyReport)
    wrong: list[str] = field(default_factory=list)


def run_soak(load: Load, out: Path, say: Callable[[str], None]) -> SoakReport:
    """Run it; leave samples.csv and plot.svg in ``out``."""
    report = SoakReport(load)
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="plumbline-soak-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # the servers' users go through it
        system = System(directory / "data", [], environment={"PORTAL_RATE_LIMIT": "0"})
        if load.leaks:
            system.program = PROGRAM
            system.environment |= ENVIRONMENT | {LEAKS_SETTING: ",".join(load.leaks)}
        try:
            system.start()
            _live(system, report, directory, say)
        finally:
            system.kill_all()
    report.samples.write(out / "samples.csv")
    report.drifts = judge_growth(report.samples, load)
    plot(report.samples, out / "plot.svg", pace=load.pace)
    report.wrong += [
        f"{one.series} grows by {one.per_hour:.2f} {one.unit}/h, {one.allowed_per_hour:.2f} allowed"
        for one in report.drifts
        if one.exceeded
    ]
    report.wrong += [f"restarted: {one}" for one in report.samples.restarts]
    return report


def judge_growth(samples: Samples, load: Load) -> list[Drift]:
    """Return how each series with a limit has grown after the warm-up."""
    if not samples.elapsed_s:
        return []
    warm_s = load.warm_up * samples.elapsed_s[-1]
    first = next(n for n, at_s in enumerate(samples.elapsed_s) if at_s >= warm_s)
    hours = [at_s * load.pace / 3600 for at_s in samples.elapsed_s[first:]]
    series = {name: column[first:] for name, column in sorted(samples.series.items())}
    return drifts(hours, series, LIMITS)


def _live(system: System, report: SoakReport, directory: Path, say: Callable[[str], None]) -> None:
    load = report.load
    truth = directory / "truth.jsonl"
    fleet = [f"soak-{number:05d}" for number in range(1, load.devices + 1)]
    portal = Portal(system.endpoints.portal_url, operator_token(system, "soak"))
    traffic = CommandTraffic(portal, fleet, _COMMAND_EVERY_S, load.seed)
    visitors = Visitors(
        portal,
        fleet,
        after_s=load.interval_s + _STATUS_WITHIN_S,
        every_s=_REQUEST_EVERY_S,
        seed=load.seed,
    )
    say("connecting")
    options = {
        "interval_s": load.interval_s,
        # One that nobody falls silent in: a device without a reading has no status.
        "scenario": "thermal",
        "connect_timeout_s": _CONNECTED_WITHIN_S,
        "faults": {"duplicates": 0.01, "malformed": 0.005, "disconnects": 0.001},
    }
    with simulated_devices(system, fleet, truth, options) as devices:
        say(f"{load.devices:,} devices publish for {load.duration_s:,.0f} s")
        sampler = Sampler(system, load.sample_every_s)
        parts = (sampler, traffic, visitors)
        for part in parts:
            part.start()
        try:
            devices.wait(load.duration_s)
        except subprocess.TimeoutExpired:
            say("waiting for what is under way")
        else:
            report.wrong.append(f"the devices ended with status {devices.returncode}")
        for part in parts:
            part.stop()
        # Devices stay until the last command has come.
        states = traffic.final_states(_COMMANDS_WITHIN_S)
        devices.send_signal(signal.SIGINT)
        devices.wait(_SETTLED_WITHIN_S)
    report.samples = sampler.samples
    report.answers = visitors.answers
    report.commands = len(states)
    report.wrong += judge_commands(traffic, states, truth, undisturbed=set(states))
    report.account = system.settle(_SETTLED_WITHIN_S)
    report.truth = verify(truth, system.endpoints.database_url)
    report.wrong += _judge_truth(report)
    report.wrong += [
        f"{text!r} stands in the logs {count} times"
        for text in ("invocation_failed", "Traceback")
        if (count := logs_of(system.data_dir, text))
    ]


def _judge_truth(report: SoakReport) -> Iterator[str]:
    truth, account = report.truth, report.account
    for difference in truth.differences:
        yield f"{difference.check}: {difference.device_id}: {difference.detail}"
    if not truth.ok and not truth.differences:
        yield f"verify: {truth.found}"
    if account["messages"] < truth.acknowledged:
        yield f"{truth.acknowledged} messages were acknowledged, {account['messages']} received"
    if account["dead_lettered"]:
        yield f"{account['dead_lettered']} messages were given up"
    for status, count in report.answers.items():
        if status != "200":
            yield f"the portal answered {status}: {count} times"
