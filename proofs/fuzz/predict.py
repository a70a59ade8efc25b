"""What must become of a message, said before it is published."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fake_broker import ScriptedQueue
from fakes import FakeClock
from plumbline.application.intake import Intake
from plumbline.codecs.queue_message import decode
from plumbline.domain.command_event import CommandEvent
from plumbline.domain.delivery import DeliveredEvent, DeliveredReading, Receipt, Refusal
from plumbline.domain.reading import MAX_AGE, MAX_AHEAD, Reading
from plumbline.domain.reason import Reason
from plumbline.ports import BrokerMessage
from proofs.fuzz import payloads
from proofs.fuzz.oracle import arrived, require_content, require_sendable
from proofs.fuzz.uplink_targets import Registry

_SOON = timedelta(minutes=15)
"""How much later a message may be taken from the broker than it was made."""

_OF_TIME = (Reason.TIMESTAMP_IN_FUTURE, Reason.TIMESTAMP_TOO_OLD)

Quarantined = tuple[str, str, int | None, bytes]
"""Topic, reason, item, and the digest of the bytes."""


@dataclass(slots=True)
class Expected:
    """What the database must hold in the end.

    Attributes:
        messages: Those with an item; the ledger may know nothing of a batch without any.
        readings: Of the devices that publish themselves, by device and time.
        accepted: Readings and events by device; several of them may be one in the end.
        quarantined: Refusals, and answers to commands that nobody has issued.
    """

    messages: int = 0
    readings: dict[tuple[str, datetime], list[Reading]] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[Quarantined] = field(default_factory=Counter)

    def add(self, other: "Expected") -> None:
        """Take in another message."""
        self.messages += other.messages
        for key, readings in other.readings.items():
            self.readings.setdefault(key, []).extend(readings)
        self.accepted += other.accepted
        self.quarantined += other.quarantined


def expect(topic: str, payload: bytes, now: datetime) -> Expected | None:
    """Return what must become of a message; None where that depends on when it is received."""
    expected, of_time = _expect(topic, payload, now)
    if of_time and _expect(topic, payload, now + _SOON)[0] != expected:
        return None
    return expected


def _expect(topic: str, payload: bytes, now: datetime) -> tuple[Expected, bool]:
    queue = ScriptedQueue()
    registry = Registry(payloads.registry())
    Intake(queue, FakeClock(now), registry).accept([BrokerMessage(topic, payload, 1, now)])
    require_sendable(queue.sent)
    expected, of_time = Expected(messages=1 if queue.sent else 0), False
    digest = hashlib.sha256(payload).digest()
    for one in queue.sent:
        content = decode(arrived(one))
        require_content(content)
        match content:
            case DeliveredReading(reading=reading, frame=frame):
                expected.accepted[reading.device_id] += 1
                of_time |= _is_at_an_edge(reading.observed_at, now)
                if frame is None and topic.startswith("tilt/"):
                    key = (reading.device_id, reading.observed_at)
                    expected.readings.setdefault(key, []).append(reading)
            case DeliveredEvent(event=event):
                expected.accepted[event.device_id] += 1
                of_time |= _is_at_an_edge(event.observed_at, now)
            case Refusal(part=0, reason=reason, item=item):
                expected.quarantined[topic, reason.value, item, digest] += 1
                of_time |= reason in _OF_TIME
            case CommandEvent():
                reason = Reason.UNKNOWN_COMMAND
                expected.quarantined[topic, reason.value, None, digest] += 1
            case Refusal() | Receipt():
                pass
    return expected, of_time


def _is_at_an_edge(moment: datetime, now: datetime) -> bool:
    return moment < now - MAX_AGE + _SOON or moment > now + MAX_AHEAD - _SOON
