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
_CUT_OFF = 0.5


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

    Entries of a FIFO queue fail with the later ones of their group. Of another queue every second
    request fails from some entry on: it has no groups, so that nothing could be said about the
    order of the rows otherwise; and who is refused five times in a row is a dead letter.
    """
    if not refused:
        return range(len(messages)), []
    if not fifo:
        count = random.randrange(len(messages)) if random.random() < _CUT_OFF else len(messages)
        return range(count), [_failure(index) for index in range(count, len(messages))]
    accepted: list[int] = []
    failures: list[SendFailure] = []
    held: set[str | None] = set()
    for index, message in enumerate(messages):
        if message.group_id in held or random.random() < refused:
            failures.append(_failure(index))
            held.add(message.group_id)
        else:
            accepted.append(index)
    return accepted, failures


def _failure(index: int) -> SendFailure:
    return SendFailure(index, "InternalError", "", sender_fault=False)
