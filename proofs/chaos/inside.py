"""What is changed inside the system's own processes, before their program begins.

A clock that the harness can move, queues that refuse entries when the harness says so (as SQS may;
PostgreSQL never refuses some of a request), and a known mistake where one is planted. The product
knows nothing of it: see ``site/sitecustomize.py``.
"""

import os
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from plumbline.adapters.clock import SystemClock
from plumbline.adapters.postgres.queue import PostgresQueue
from plumbline.ports import OutgoingMessage, SendFailure
from proofs.chaos.knobs import Knobs
from proofs.chaos.planted import BUGS

_ROOT = Path(__file__).parents[2]
_KNOBS = "PLUMBLINE_PROOF_KNOBS"
_CIRCUMSTANCES = "PLUMBLINE_PROOF_CIRCUMSTANCES"
_PLANTED = "PLUMBLINE_PROOF_PLANTED"


def environment(knobs: Path, circumstances: str | None, planted: str | None) -> dict[str, str]:
    """Return what brings ``enter`` into a process.

    Args:
        knobs: The file.
        circumstances: The mistake in whose circumstances to live.
        planted: The mistake to make.
    """
    path = [_ROOT / "proofs" / "chaos" / "site", _ROOT, _ROOT / "tests"]
    given = {_CIRCUMSTANCES: circumstances, _PLANTED: planted}
    return {
        "PYTHONPATH": ":".join(map(str, path)),
        _KNOBS: str(knobs),
        **{name: value for name, value in given.items() if value is not None},
    }


def enter(given: Mapping[str, str] = os.environ) -> None:
    """Change this process as its environment says."""
    knobs = Knobs(Path(given[_KNOBS]))
    _move_clock(knobs)
    _refuse_entries(knobs)
    if _CIRCUMSTANCES in given:
        BUGS[given[_CIRCUMSTANCES]].circumstances()
    if _PLANTED in given:
        BUGS[given[_PLANTED]].plant()


def _move_clock(knobs: Knobs) -> None:
    def now(self: SystemClock) -> datetime:  # noqa: ARG001 - a method's
        return datetime.now(UTC) + timedelta(seconds=knobs.ahead_s)

    SystemClock.now = now  # type: ignore[method-assign] # on purpose


def _refuse_entries(knobs: Knobs) -> None:
    send = PostgresQueue.send

    def send_some(self: PostgresQueue, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        accepted, failures = _choose(messages, knobs.refused, fifo=self.fifo)
        return failures + [
            SendFailure(accepted[f.index], f.code, f.detail, f.sender_fault)
            for f in send(self, [messages[index] for index in accepted])
        ]

    PostgresQueue.send = send_some  # type: ignore[method-assign] # on purpose


def _choose(
    messages: Sequence[OutgoingMessage], refused: float, *, fifo: bool
) -> tuple[Sequence[int], list[SendFailure]]:
    """Return what is accepted, and the failures of the rest.

    An entry of a FIFO queue fails with the later ones of its group; of another queue, which has no
    groups, with all later ones, as otherwise nothing could be said about the order of the rows.
    """
    if not refused:
        return range(len(messages)), []
    accepted: list[int] = []
    failures: list[SendFailure] = []
    held: set[str | None] = set()
    for index, message in enumerate(messages):
        if message.group_id in held if fifo else failures:
            failures.append(SendFailure(index, "Held", "", sender_fault=False))
        elif random.random() < refused:
            failures.append(SendFailure(index, "InternalError", "", sender_fault=False))
            held.add(message.group_id)
        else:
            accepted.append(index)
    return accepted, failures
