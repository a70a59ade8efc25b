"""Commands to devices while everything is hit, and who executed what."""

import http.client
import itertools
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid5

from plumbline.simulator.truth import CommandLine, RepetitionLine, read_truth
from proofs.chaos.portal import UNANSWERED, Portal

_NAMESPACE = UUID("8d2f2f52-3f07-5b6c-9d0e-3a0f2c5a7b11")
UNKNOWN = "unknown"
"""The state of a command for which the portal has no answer now."""
UNDECIDED = frozenset({"queued", "sent", UNKNOWN})

_RETRY_S = 0.5


@dataclass(eq=False)
class CommandTraffic(threading.Thread):
    """Orders one command after the other over REST; repeats a request until it is answered.

    Attributes:
        portal: Whom to ask.
        device_ids: Who may get one.
        every_s: Between two.
        seed: Of who gets which.
        ordered: Ids by device, in the order of their issue.
    """

    portal: Portal
    device_ids: list[str]
    every_s: float
    seed: str
    ordered: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(name="commands", daemon=True)
        self._stopping = threading.Event()

    def run(self) -> None:
        """Order until stopped."""
        rng = random.Random(f"{self.seed}/commands")
        for number in itertools.count():
            if self._stopping.wait(self.every_s):
                return
            self._order(rng.choice(self.device_ids), str(number))

    def order_at_once(self, each: int) -> set[str]:
        """Order several commands for each device, one behind the other; return their ids."""
        self._stopping.clear()
        before = {one for ids in self.ordered.values() for one in ids}
        for device_id in self.device_ids:
            for number in range(each):
                self._order(device_id, f"at once/{device_id}/{number}")
        return {one for ids in self.ordered.values() for one in ids} - before

    def stop(self) -> None:
        """End after the command under way."""
        self._stopping.set()
        self.join()

    def _order(self, device_id: str, number: str) -> None:
        key = str(uuid5(_NAMESPACE, f"{self.seed}/{number}"))
        while True:
            try:
                status, answer = self.portal.request(
                    "POST",
                    f"/api/v1/devices/{device_id}/commands",
                    {"command": "identify", "params": {"duration_s": 1}, "expires_in_s": 86_400},
                    {"Idempotency-Key": key},
                )
            except UNANSWERED:
                status, answer = 503, {}
            if status == http.client.ACCEPTED:
                self.ordered.setdefault(device_id, []).append(answer["command_id"])
                return
            if status < http.client.INTERNAL_SERVER_ERROR:
                self.problems.append(f"a command was refused with {status}: {answer}")
                return
            if self._stopping.wait(_RETRY_S):
                return

    def states(self) -> dict[str, str]:
        """Return the state of every command that was ordered; ``unknown`` without an answer."""
        return {
            command_id: self._state(command_id)
            for ids in self.ordered.values()
            for command_id in ids
        }

    def final_states(self, within_s: float) -> dict[str, str]:
        """Wait until every command has come to an end; return the states as they are then."""
        deadline = time.monotonic() + within_s
        while True:
            states = self.states()
            if not UNDECIDED.intersection(states.values()):
                return states
            if time.monotonic() > deadline:
                return states
            time.sleep(1)

    def _state(self, command_id: str) -> str:
        try:
            status, answer = self.portal.request("GET", f"/api/v1/commands/{command_id}")
        except UNANSWERED:
            return UNKNOWN
        return str(answer["state"]) if status == http.client.OK else UNKNOWN


def judge_commands(
    traffic: CommandTraffic, states: dict[str, str], truth: Path, undisturbed: set[str]
) -> list[str]:
    """Return what went wrong with the commands.

    Args:
        traffic: Who ordered them.
        states: Their last.
        truth: Of the devices.
        undisturbed: Those that were ordered when nothing was struck any more: they come once. After
            a crash a command may come again, and its device knows it by its id.
    """
    wrong = list(traffic.problems)
    again = Counter(
        line.command_id for line in read_truth(truth) if isinstance(line, RepetitionLine)
    )
    wrong += [
        f"command {one} came {1 + again[one]} times although nothing was struck"
        for one in sorted(undisturbed & again.keys())
    ]
    executed: dict[str, list[tuple[datetime, str]]] = {}
    for line in read_truth(truth):
        if isinstance(line, CommandLine):
            executed.setdefault(line.device, []).append((line.executed_at, line.command_id))
    times = Counter(command_id for lines in executed.values() for _, command_id in lines)
    wrong += [f"command {one} was executed {n} times" for one, n in times.items() if n > 1]
    for device_id, ordered in traffic.ordered.items():
        done = [one for _, one in executed.get(device_id, []) if one in set(ordered)]
        if done != [one for one in ordered if one in set(done)]:
            wrong.append(f"{device_id} executed its commands in another order")
        for one in ordered:
            if states[one] != "acknowledged" or one not in times:
                wrong.append(
                    f"command {one} of {device_id}: {states[one]}, executed {times[one]} times"
                )
    return wrong
