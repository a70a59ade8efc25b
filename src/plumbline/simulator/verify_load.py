"""Reads a truth file into temporary tables, in bounded memory, and counts on the way.

The fields of a published reading are read here a second time and apart from the system's own
decoder: a witness that used it would share its mistakes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from plumbline.simulator.faults import DUPLICATE, LATE, OUT_OF_ORDER
from plumbline.simulator.puback import FIRST_REFUSAL
from plumbline.simulator.truth import (
    DeviceLine,
    EndLine,
    MalformedLine,
    ReadingLine,
    RunLine,
    read_truth,
)
from plumbline.simulator.verify_report import VerifyReport

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far the clocks of the simulator's machine and of the receiver are usually apart at most."""

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VALUES = (
    "battery_level",
    "tilt_x",
    "tilt_y",
    "tilt_z",
    "temperature",
    "rssi",
    "snr",
    "sequence",
)
_KNOWN = frozenset({"device_id", "timestamp", "tilt_angle", "status", *_VALUES})

PeriodRow = tuple[str, datetime, datetime, datetime]


@dataclass(slots=True)
class TruthLoader:
    """One truth file.

    Attributes:
        path: The file.
        report: Whose counts it fills.
        clock_tolerance: How far the receiver's clock may have been behind.
        periods: One row a run and device, once the readings were read.
        first_at, last_at: Device time of the earliest and the latest reading.
        received_from: Before this, nothing of the file was received.
    """

    path: Path
    report: VerifyReport
    clock_tolerance: timedelta = CLOCK_TOLERANCE
    periods: list[PeriodRow] = field(default_factory=list)
    first_at: datetime | None = None
    last_at: datetime | None = None
    received_from: datetime | None = None

    def readings(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of ``truth``; afterwards counts and periods are complete."""
        report = self.report
        devices: set[str] = set()
        run: RunLine | None = None
        spans: dict[str, tuple[datetime, datetime]] = {}
        for line in read_truth(self.path):
            match line:
                case ReadingLine():
                    self._count(line)
                    if DUPLICATE in line.faults:
                        report.duplicates += 1
                    else:
                        report.readings += 1
                    row = _row(report.runs, line)
                    at = row[2]
                    first, last = spans.get(line.device, (at, at))
                    spans[line.device] = (min(first, at), max(last, at))
                    yield row
                case MalformedLine():
                    self._count(line)
                case DeviceLine():
                    devices.add(line.device)
                case RunLine():
                    self._close(run, spans, cut=True)
                    run, spans = line, {}
                    report.runs += 1
                    from_ = line.started_at - self.clock_tolerance
                    self.received_from = min(from_, self.received_from or from_)
                case EndLine():
                    self._close(run, spans, cut=False)
                    run, spans = None, {}
        self._close(run, spans, cut=True)
        report.devices = len(devices)

    def malformed(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield the rows of ``truth_malformed``."""
        for line in read_truth(self.path):
            if isinstance(line, MalformedLine) and line.acknowledged_at is not None:
                self.report.malformed += 1
                yield line.device, line.kind, line.reason.value, line.sha256

    def _count(self, line: ReadingLine | MalformedLine) -> None:
        if line.acknowledged_at is not None:
            self.report.acknowledged += 1
        elif line.code is not None and line.code >= FIRST_REFUSAL:
            self.report.rejected += 1
        else:
            self.report.unacknowledged += 1

    def _close(
        self, run: RunLine | None, spans: dict[str, tuple[datetime, datetime]], *, cut: bool
    ) -> None:
        """Note until when the truth knows everything of each device of the run."""
        if run is None:
            return
        self.report.cut_runs += cut
        for first, last in spans.values():
            self.first_at = min(first, self.first_at or first)
            self.last_at = max(last, self.last_at or last)
        # The last half second of a run that was cut off is missing, and with held back readings
        # these need not be the newest: then nothing can be said about unknown ones.
        faults = run.parameters.get("faults", {})
        if cut and (faults.get("late") or faults.get("out_of_order")):
            return
        received_from = run.started_at - self.clock_tolerance
        self.periods.extend((device, *span, received_from) for device, span in spans.items())


def _row(run: int, line: ReadingLine) -> tuple[Any, ...]:
    payload = line.payload
    acknowledged = line.acknowledged_at is not None
    in_order = (
        acknowledged
        and line.attempts == 1
        and not ({DUPLICATE, LATE, OUT_OF_ORDER} & set(line.faults))
    )
    extra = {name: value for name, value in payload.items() if name not in _KNOWN}
    return (
        run,
        line.device,
        _moment(payload["timestamp"]),
        line.number,
        line.connection,
        acknowledged,
        in_order,
        payload["tilt_angle"],
        payload.get("status", "normal"),
        *(payload.get(name) for name in _VALUES),
        json.dumps(extra),
    )


def _moment(timestamp: str | int) -> datetime:
    """Return the moment of a published timestamp; digits beyond microseconds are cut."""
    if isinstance(timestamp, int):
        return _UNIX_EPOCH + timedelta(milliseconds=timestamp)
    return datetime.fromisoformat(timestamp)
