"""What the comparison of truth and database found."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        check: Which check found it; the checks are those of `verify`.
        device_id: Whose.
        observed_at: The reading's time, where it is one reading.
        detail: One line for people.
    """

    check: str
    device_id: str
    observed_at: datetime | None
    detail: str


@dataclass(slots=True)
class VerifyReport:
    """Counts of the truth, and every check's differences.

    Attributes:
        runs: In the truth file.
        cut_runs: Of these, ended by the death of the simulator.
        devices: Simulated.
        readings: Published, without planted duplicates.
        duplicates: Planted ones published.
        acknowledged: Messages of any kind that the broker accepted.
        rejected: Messages of any kind that the broker refused.
        unacknowledged: Messages of any kind without an answer; they may be stored or not.
        malformed: Acknowledged ones, which must be in quarantine.
        stored: Readings of the truth that are stored.
        unacknowledged_stored: Of these, without any acknowledgement.
        found: Number of differences by check; all checks made are there.
        differences: The first of each check.
    """

    runs: int = 0
    cut_runs: int = 0
    devices: int = 0
    readings: int = 0
    duplicates: int = 0
    acknowledged: int = 0
    rejected: int = 0
    unacknowledged: int = 0
    malformed: int = 0
    stored: int = 0
    unacknowledged_stored: int = 0
    found: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Tell whether there is no difference."""
        return not any(self.found.values())

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values and times."""
        return {"ok": self.ok} | asdict(self)

    def __str__(self) -> str:
        unanswered = f"{self.unacknowledged:,} without an answer"
        if self.unacknowledged_stored:
            unanswered += f", {self.unacknowledged_stored:,} of these stored all the same"
        lines = [
            f"{self.readings:,} readings of {self.devices:,} devices, {self.stored:,} stored",
            f"{self.acknowledged:,} acknowledged, {self.rejected:,} rejected, {unanswered}",
            f"{self.duplicates:,} duplicates and {self.malformed:,} malformed messages planted",
        ]
        if self.cut_runs:
            lines.append(f"{self.cut_runs} of {self.runs} runs cut off")
        for difference in self.differences:
            at = "" if difference.observed_at is None else f" {difference.observed_at.isoformat()}"
            lines.append(f"{difference.check}: {difference.device_id}{at}: {difference.detail}")
        wrong = ", ".join(f"{check} {count:,}" for check, count in self.found.items() if count)
        lines.append(f"WRONG: {wrong}" if wrong else "ok: " + ", ".join(self.found))
        return "\n".join(lines)
