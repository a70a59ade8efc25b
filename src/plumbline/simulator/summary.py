"""What a simulation did, in numbers."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from plumbline.simulator.plan import Publication
from plumbline.simulator.puback import FIRST_REFUSAL, NO_MATCHING_SUBSCRIBERS


@dataclass(slots=True)
class SimulationSummary:
    """Counts of messages; a message sent again after a lost connection counts once.

    Attributes:
        devices: Simulated devices.
        readings: Published for the first time; duplicates and malformed ones are in ``faults``.
        published: All messages.
        acknowledged: Accepted by the broker.
        without_subscriber: Of these, accepted although no session was there to keep them.
        rejected: Refused by the broker.
        unacknowledged: Published, and no answer came.
        sent_again: After a lost connection.
        reconnects: Connections after each device's first.
        commands: That MQTT devices have executed.
        downlinks: That LoRaWAN devices have executed.
        faults: Planted ones by name.
        elapsed_s: From the first publication to the last acknowledgement, seconds.
        stopped: The run was stopped before its end.
    """

    devices: int
    readings: int = 0
    published: int = 0
    acknowledged: int = 0
    without_subscriber: int = 0
    rejected: int = 0
    unacknowledged: int = 0
    sent_again: int = 0
    reconnects: int = 0
    commands: int = 0
    downlinks: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    elapsed_s: float = 0.0
    stopped: bool = False

    def add_published(self, publication: Publication) -> None:
        """Count a message when it is handed to its connection."""
        self.published += 1
        if publication.malformed is None and "duplicate" not in publication.faults:
            self.readings += 1
        # A malformed message's second fault is its kind.
        self.faults.update(publication.faults[:1])

    def add_outcome(self, publication: Publication, code: int | None) -> None:
        """Count what became of a message: the PUBACK's reason code, or None without one."""
        self.sent_again += publication.attempts > 1
        if code is None:
            self.unacknowledged += 1
        elif code >= FIRST_REFUSAL:
            self.rejected += 1
        else:
            self.acknowledged += 1
            self.without_subscriber += code == NO_MATCHING_SUBSCRIBERS

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return asdict(self) | {
            "faults": dict(sorted(self.faults.items())),
            "elapsed_s": round(self.elapsed_s, 3),
        }

    def __str__(self) -> str:
        rate = self.acknowledged / self.elapsed_s if self.elapsed_s else 0.0
        stopped = ", stopped before the end" if self.stopped else ""
        counts = (
            f"{self.published:,} published: {self.acknowledged:,} acknowledged ({rate:,.0f}/s), "
            f"{self.rejected:,} rejected, {self.unacknowledged:,} without an answer"
        )
        lines = [f"{self.devices:,} devices, {self.elapsed_s:.1f} s{stopped}", counts]
        if self.without_subscriber:
            lines.append(f"{self.without_subscriber:,} accepted with nobody there to keep them")
        if self.reconnects:
            lines.append(f"{self.reconnects:,} reconnects, {self.sent_again:,} sent again")
        if self.commands:
            lines.append(f"{self.commands:,} commands executed")
        if self.downlinks:
            lines.append(f"{self.downlinks:,} downlinks executed")
        if self.faults:
            counts = ", ".join(f"{name} {count:,}" for name, count in sorted(self.faults.items()))
            lines.append(f"planted: {counts}")
        return "\n".join(lines)
