"""From a command queue to the broker; what became of it goes back through the pipeline."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from plumbline.application.command_encoding import Encoded
from plumbline.codecs.command_queue import (
    Identity,
    QueuedCommand,
    Withdrawal,
    decode,
    identify,
)
from plumbline.codecs.queue_message import encode_command_event
from plumbline.domain.command_event import CommandEvent, CommandEventKind
from plumbline.domain.publication import Publication, Published
from plumbline.errors import BrokerUnavailable, InvalidMessage, UnsupportedCommand
from plumbline.ports import Clock, Queue, QueueMessage

# Connecting and waiting for an acknowledgement, with some time left for the events.
MARGIN_S = 12.0

_NOBODY = "nobody is subscribed to the device's commands"

Encode = Callable[[QueuedCommand | Withdrawal, datetime], Encoded]


class CommandBroker(Protocol):
    """Every broker task."""

    def publish(self, publications: Sequence[Publication]) -> list[Published]:
        """Publish to each task, QoS 1, never retained, and return what they said, in order.

        Raises:
            BrokerUnavailable: No task is known; nothing was published.
        """
        ...


@dataclass(slots=True)
class SendReport:
    """What became of a batch.

    Attributes:
        events: How many events of each kind were sent back.
        withdrawn: Commands that were taken out of a network server's queue.
        given_up: Withdrawals that no broker has taken.
        failed: Message id to reason, of those that must be received again.
        away: Of the failed, those that wait for the broker and nothing else.
    """

    events: Counter[CommandEventKind] = field(default_factory=Counter)
    withdrawn: int = 0
    given_up: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    away: int = 0


@dataclass(slots=True)
class _Attempt:
    """One message under way: what is published for it, or the event that ends it at once."""

    message: QueueMessage
    identity: Identity
    encoded: Encoded | None = None
    withdraws: bool = False
    ends: tuple[CommandEventKind, str] | None = None


class SendCommands:
    """Publishes a batch of one command queue.

    Args:
        broker: Where to.
        queue: Takes the events.
        clock: Decides what has expired.
        encode: For the protocol of the queue.
        max_receive_count: Of the queue; its last receive of a message is the last chance to say
            what became of it.
    """

    def __init__(
        self,
        broker: CommandBroker,
        queue: Queue,
        clock: Clock,
        encode: Encode,
        max_receive_count: int,
    ) -> None:
        self._broker = broker
        self._queue = queue
        self._clock = clock
        self._encode = encode
        self._max_receive_count = max_receive_count
        self._unsure: set[str] = set()

    def run(self, messages: Sequence[QueueMessage], remaining_s: Callable[[], float]) -> SendReport:
        """Publish the commands, each device's one after the other.

        Args:
            messages: In the order of the queue.
            remaining_s: Seconds until the run must be over.

        Raises:
            BrokerUnavailable: All of them wait for the broker, and none had its last chance.
            QueueUnavailable: All of them must be received again; a device knows a command that
                comes twice by its id.
        """
        report = SendReport()
        blocked: set[str | None] = set()
        for wave in _waves(messages):
            free = [message for message in wave if message.group_id not in blocked]
            self._send(free, remaining_s, report)
            for message in wave:
                if message.group_id in blocked:
                    report.failed[message.message_id] = "behind a failed message of its device"
            blocked |= {m.group_id for m in wave if m.message_id in report.failed}
        if messages and report.away == len(messages):
            raise BrokerUnavailable(next(iter(report.failed.values())))
        return report

    def _send(
        self,
        messages: Sequence[QueueMessage],
        remaining_s: Callable[[], float],
        report: SendReport,
    ) -> None:
        """Send one message of each device."""
        attempts = [a for message in messages if (a := self._prepare(message, report)) is not None]
        published = [a for a in attempts if a.encoded is not None]
        results = self._publish(published, remaining_s)
        events: list[tuple[_Attempt, CommandEvent]] = [
            (a, self._event(a, *a.ends)) for a in attempts if a.ends is not None
        ]
        for attempt, result in zip(published, results, strict=True):
            if result.unavailable is not None:
                self._unsure.add(attempt.message.message_id)
            if result.unavailable is not None and not self._is_last(attempt.message):
                report.failed[attempt.message.message_id] = result.unavailable
                report.away += 1
            elif attempt.withdraws:
                report.withdrawn += result.unavailable is None
                report.given_up += result.unavailable is not None
                self._unsure.discard(attempt.message.message_id)
            else:
                events.append((attempt, self._event(attempt, *_outcome(result))))
        self._tell(events, report)

    def _prepare(self, message: QueueMessage, report: SendReport) -> _Attempt | None:
        """Decode and encode; None where there is nothing to do, or the report says why not."""
        try:
            identity = identify(message)
        except InvalidMessage as error:
            report.failed[message.message_id] = str(error)
            return None
        now = self._clock.now()
        try:
            content = decode(message)
            if isinstance(content, QueuedCommand) and content.command.expires_at <= now:
                if message.receive_count > 1 or message.message_id in self._unsure:
                    # An earlier attempt may have reached the device: its answer would tell. Without
                    # one the command expires where it is stored.
                    self._unsure.discard(message.message_id)
                    return None
                return _Attempt(message, identity, ends=(CommandEventKind.EXPIRED, ""))
            encoded = self._encode(content, now)
        except (InvalidMessage, UnsupportedCommand) as error:
            return _Attempt(message, identity, ends=(CommandEventKind.FAILED, str(error)))
        return _Attempt(message, identity, encoded, isinstance(content, Withdrawal))

    def _publish(
        self, attempts: Sequence[_Attempt], remaining_s: Callable[[], float]
    ) -> list[Published]:
        publications = [a.encoded.publication for a in attempts if a.encoded is not None]
        if not publications:
            return []
        if remaining_s() <= MARGIN_S:
            return [Published(unavailable="no time is left in this run") for _ in publications]
        try:
            return self._broker.publish(publications)
        except BrokerUnavailable as error:
            return [Published(unavailable=str(error)) for _ in publications]

    def _tell(self, events: Sequence[tuple[_Attempt, CommandEvent]], report: SendReport) -> None:
        """Send the events back; what the queue does not take is received again."""
        if not events:
            return
        failures = self._queue.send([encode_command_event(event) for _, event in events])
        refused = {failure.index: failure for failure in failures}
        for index, (attempt, event) in enumerate(events):
            message_id = attempt.message.message_id
            if index in refused:
                report.failed[message_id] = f"{refused[index].code}: {refused[index].detail}"
            else:
                report.events[event.kind] += 1
                self._unsure.discard(message_id)

    def _event(self, attempt: _Attempt, kind: CommandEventKind, detail: str) -> CommandEvent:
        identity = attempt.identity
        return CommandEvent(
            identity.command_id,
            identity.device_id,
            kind,
            self._clock.now(),
            identity.attempt,
            detail,
            confirmed=attempt.encoded is None or attempt.encoded.confirmed,
        )

    def _is_last(self, message: QueueMessage) -> bool:
        return message.receive_count >= self._max_receive_count


def _outcome(result: Published) -> tuple[CommandEventKind, str]:
    if result.taken:
        return CommandEventKind.SENT, ""
    # To be tried again, also where a broker was away until the queue would have given it up.
    return CommandEventKind.UNDELIVERED, result.unavailable or _NOBODY


def _waves(messages: Sequence[QueueMessage]) -> Iterator[list[QueueMessage]]:
    """Yield the first message of each group, then the second of each, and so on."""
    waves: list[list[QueueMessage]] = []
    seen: Counter[str | None] = Counter()
    for message in messages:
        number = seen[message.group_id]
        seen[message.group_id] += 1
        if number == len(waves):
            waves.append([])
        waves[number].append(message)
    yield from waves
