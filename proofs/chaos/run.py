"""Publishes, strikes, waits, and holds the system against what the devices know."""

import json
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from plumbline.adapters.redis import connect
from plumbline.adapters.redis_entries import status_key
from plumbline.domain.reading import format_time
from plumbline.simulator.truth import MalformedLine, ReadingLine, read_truth
from plumbline.simulator.verify import verify
from plumbline.simulator.verify_report import VerifyReport
from proofs.chaos.commands import CommandTraffic, judge_commands
from proofs.chaos.plan import EVERYTHING, PROCESSES, Fault, Kind, plan_faults
from proofs.chaos.proxy import Link
from proofs.chaos.system_process import SystemUnderFire, logs_of, resume
from proofs.witness import operator_token, simulated_devices

_SECONDS_A_KILL = 2.5
_SHORTEST_S = 20.0
_COMMAND_EVERY_S = 1.0
_SETTLED_WITHIN_S = 300.0
_COMMANDS_WITHIN_S = 120.0
_CACHE_WITHIN_S = 60.0
_COMMANDED = 5
_DELAY_S = 0.05
_LOST = 0.3


ENDS = ("stored", "duplicates", "conflicts", "quarantined", "dead_lettered", "discarded")
"""What can become of a delivery."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything; the same seed repeats the same faults at the same moments."""

    devices: int
    messages: int
    kills: int
    seed: str
    parts: tuple[str, ...] = PROCESSES

    @property
    def publishing_s(self) -> float:
        """How long the devices publish, where nothing holds them up."""
        return max(_SHORTEST_S, self.kills * _SECONDS_A_KILL)


@dataclass(slots=True)
class ChaosReport:
    """What the witness, the ledger and the database say, and what is wrong with it."""

    scale: Scale
    struck: Counter[str] = field(default_factory=Counter)
    truths: list[VerifyReport] = field(default_factory=list)
    account: dict[str, Any] = field(default_factory=dict)
    commands: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def run_chaos(scale: Scale, say: Callable[[str], None], keep: Path | None = None) -> ChaosReport:
    """Run it.

    Args:
        keep: Data, logs and truth stay there.
        say: Told of each fault as it strikes.
    """
    report = ChaosReport(scale)
    began = time.monotonic()
    with ExitStack() as stack:
        if keep is None:
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="plumbline-chaos-")))
        else:
            directory = keep
            directory.mkdir(parents=True)
        directory.chmod(0o755)  # the servers' users go through it
        system = SystemUnderFire(directory / "data")
        with system.proxies.running():
            try:
                system.start()
                _live(system, report, directory, say)
            finally:
                system.kill_all()
    report.seconds = time.monotonic() - began
    return report


def _live(
    system: SystemUnderFire, report: ChaosReport, directory: Path, say: Callable[[str], None]
) -> None:
    scale = report.scale
    fleet = [f"chaos-{number:04d}" for number in range(1, scale.devices + 1)]
    # They go on until the last command has come: a device that is gone executes nothing.
    commanded = [f"told-{number}" for number in range(1, _COMMANDED + 1)]
    interval_s = round(scale.devices * scale.publishing_s / scale.messages, 3)
    truths = [directory / "truth.jsonl", directory / "told.jsonl"]
    token = operator_token(system, "chaos")
    commands = CommandTraffic(
        system.endpoints.portal_url,
        token,
        commanded,
        _COMMAND_EVERY_S,
        scale.seed,
    )
    with (
        _devices(system, fleet, truths[0], interval_s, scale.messages) as publishing,
        _devices(system, commanded, truths[1], 1.0, None) as listening,
    ):
        commands.start()
        _strike(system, report, say)
        say("no more faults; waiting for the devices")
        if publishing.wait(scale.publishing_s + _SETTLED_WITHIN_S) != 0:
            report.wrong.append(f"the devices ended with status {publishing.returncode}")
        commands.stop()
        say("waiting for the commands")
        states = commands.final_states(_COMMANDS_WITHIN_S)
        listening.send_signal(signal.SIGINT)
        listening.wait(30)
    say("waiting until nothing is under way")
    _wait_received(system, sum(map(_acknowledged, truths)))
    report.account = system.settle(_SETTLED_WITHIN_S)
    report.commands = len(states)
    report.wrong += judge_commands(commands, states, truths[1])
    for truth in truths:
        report.truths.append(verify(truth, system.endpoints.database_url))
    report.wrong += _judge_readings(report)
    report.wrong += _judge_cache(system)
    report.wrong += _judge_logs(system)


def _acknowledged(truth: Path) -> int:
    return sum(
        isinstance(line, ReadingLine | MalformedLine) and line.acknowledged_at is not None
        for line in read_truth(truth)
    )


def _wait_received(system: SystemUnderFire, messages: int) -> None:
    """Wait until so many were taken from the broker; what is missing then, the judgement says."""
    deadline = time.monotonic() + _SETTLED_WITHIN_S
    while time.monotonic() < deadline:
        done = system.run("ledger", "--json")
        if done.stdout and json.loads(done.stdout)["messages"] >= messages:
            return


@contextmanager
def _devices(
    system: SystemUnderFire,
    device_ids: list[str],
    truth: Path,
    interval_s: float,
    count: int | None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Simulated devices behind the proxy, some of which misbehave where they are counted."""
    options: dict[str, Any] = {"interval_s": interval_s, "scenario": "thermal", "count": count}
    if count is not None:
        options["faults"] = {"malformed": 0.02, "duplicates": 0.02, "late": 0.01}
    with simulated_devices(system, device_ids, truth, options, system.device_url) as process:
        yield process


def _strike(system: SystemUnderFire, report: ChaosReport, say: Callable[[str], None]) -> None:
    """Do to the system what the plan says, at its moments; wait for the end of the last."""
    scale = report.scale
    began = time.monotonic()
    lasting: list[threading.Timer] = []
    for fault in plan_faults(scale.seed, scale.kills, processes=scale.parts):
        time.sleep(max(0.0, began + fault.at * scale.publishing_s - time.monotonic()))
        struck = _do(system, fault, lasting)
        say(f"{fault}{'' if struck else ' (was not there)'}")
        report.struck[f"{fault.kind}: {fault.part}" if struck else "was not there"] += 1
    for timer in lasting:
        timer.join()


def _do(system: SystemUnderFire, fault: Fault, lasting: list[threading.Timer]) -> bool:
    """Do it, and see to its end; return whether there was anything to do it to."""
    if fault.kind is Kind.KILL:
        if fault.part == EVERYTHING:
            system.pull_the_plug()
            return True
        return system.kill(fault.part)
    if fault.kind is Kind.STALL:
        stalled = system.stall(fault.part)
        _later(lasting, fault.for_s, lambda: resume(stalled))
        return bool(stalled)
    system.proxies.do(fault.part, _CUTS[fault.kind])
    if fault.for_s:
        _later(lasting, fault.for_s, lambda: system.proxies.do(fault.part, Link.heal))
    return True


def _slow(link: Link) -> None:
    link.delay_s = _DELAY_S


def _lossy(link: Link) -> None:
    link.lost = _LOST


def _silent(link: Link) -> None:
    link.passing.clear()


_CUTS: dict[Kind, Callable[[Link], None]] = {
    Kind.RESET: Link.reset,
    Kind.FORSAKEN: Link.forsake,
    Kind.SLOW: _slow,
    Kind.LOSSY: _lossy,
    Kind.SILENT: _silent,
}


def _later(lasting: list[threading.Timer], seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.start()
    lasting.append(timer)


# --- the judgement --------------------------------------------------------------------------


def _judge_readings(report: ChaosReport) -> Iterator[str]:
    account = report.account
    for truth in report.truths:
        for difference in truth.differences:
            yield f"{difference.check}: {difference.device_id}: {difference.detail}"
        if not truth.ok and not truth.differences:
            yield f"verify: {truth.found}"
    acknowledged = sum(truth.acknowledged for truth in report.truths)
    if account["messages"] < acknowledged:
        yield f"{acknowledged} messages were acknowledged, {account['messages']} received"
    ended = sum(account[name] for name in ENDS)
    if account["received"] != ended:
        yield f"{account['received']} deliveries were received, {ended} have an end"


def _judge_cache(system: SystemUnderFire) -> Iterator[str]:
    """The cache is the database's, as soon as the sync has run."""
    deadline = time.monotonic() + _CACHE_WITHIN_S
    while True:
        different = _different_in_cache(system)
        if not different or time.monotonic() > deadline:
            break
        time.sleep(1)
    for device_id in different:
        yield f"the cache has something else of {device_id} than the database"


def _different_in_cache(system: SystemUnderFire) -> list[str]:
    endpoints = system.endpoints
    cache = connect(endpoints.redis_url)
    try:
        with psycopg.connect(endpoints.database_url) as connection:
            rows = connection.execute("SELECT device_id, last_seen FROM device_status").fetchall()
        return [
            device_id
            for device_id, last_seen in rows
            if json.loads(str(cache.get(status_key(device_id)) or "{}")).get("last_seen")
            != format_time(last_seen)
        ]
    finally:
        cache.close()


def _judge_logs(system: SystemUnderFire) -> Iterator[str]:
    """What must not happen, even where it does no harm."""
    for text in ("deadlock detected", "invocation_failed", "Traceback"):
        count = logs_of(system.data_dir, text)
        if count:
            yield f"{text!r} stands in the logs {count} times"
