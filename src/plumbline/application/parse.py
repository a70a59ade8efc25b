"""From the broker to the queue: nothing is acknowledged before the queue has accepted it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plumbline.application.intake import Accepted, Intake
from plumbline.errors import BrokerUnavailable
from plumbline.ports import Broker, BrokerSession, RunLock
from plumbline.topology import Drain

# Below the broker's max_inflight_messages by more than a batch, and below the 65,535 packet ids.
_MAX_WAITING = 18_000
_MAX_SINCE_FIRST_WAITING = 60_000


@dataclass(slots=True)
class ParseReport:
    """What one run did.

    Attributes:
        messages: MQTT messages taken from the broker.
        readings, events, refusals, answers: Items of these messages.
        held: MQTT messages that the queue did not accept; they stay with the broker.
        waiting: Uplinks that stay with the broker until the registry of devices can be asked.
        batches: Batches sent.
        sessions_created: Broker tasks that did not know our session: what they had queued for
            us, if anything, is gone.
        drained: False where the deadline ended the run before the backlog did.
    """

    messages: int = 0
    readings: int = 0
    events: int = 0
    refusals: int = 0
    answers: int = 0
    held: int = 0
    waiting: int = 0
    batches: int = 0
    sessions_created: int = 0
    drained: bool = True

    def add(self, messages: int, accepted: Accepted) -> None:
        """Count one batch."""
        self.messages += messages
        self.readings += accepted.readings
        self.events += accepted.events
        self.refusals += accepted.refusals
        self.answers += accepted.answers
        self.held += len(accepted.held)
        self.waiting += len(accepted.waiting)
        self.batches += 1


class Parse:
    """Drains every broker task into the queue.

    Args:
        broker: All its tasks.
        intake: Into the queue.
        lock: Keeps two runs apart.
        drain: How much to take at once.
    """

    def __init__(self, broker: Broker, intake: Intake, lock: RunLock, drain: Drain) -> None:
        self._broker = broker
        self._intake = intake
        self._lock = lock
        self._drain = drain

    def run(self, remaining_s: Callable[[], float], also: Sequence[str] = ()) -> ParseReport:
        """Take what the broker has until it is drained or the time is nearly up.

        Args:
            remaining_s: Seconds until the run must be over.
            also: See ``Broker.addresses``.

        Raises:
            AlreadyRunning: Another run is at work.
            BrokerUnavailable: A broker task could not be drained; the others were.
            QueueUnavailable: The queue accepts nothing; nothing more was acknowledged.
        """
        report = ParseReport()
        failures: list[BrokerUnavailable] = []
        with self._lock.hold("parsing"):
            for address in self._broker.addresses(also):
                try:
                    with self._broker.open(address) as session:
                        report.sessions_created += not session.session_present
                        self._drain_session(session, remaining_s, report)
                except BrokerUnavailable as error:
                    failures.append(error)
        if failures:
            raise failures[0]
        return report

    def _drain_session(
        self, session: BrokerSession, remaining_s: Callable[[], float], report: ParseReport
    ) -> None:
        drain = self._drain
        held_devices: set[str] = set()
        unacknowledged = since_first = 0
        while True:
            if remaining_s() <= drain.margin_s:
                report.drained = False
                return
            messages = session.receive(
                drain.batch_size, linger_s=drain.linger_s, quiet_s=drain.quiet_s
            )
            if messages:
                accepted = self._intake.accept(messages, held_devices=held_devices)
                report.add(len(messages), accepted)
                kept_back = accepted.held | accepted.waiting
                session.acknowledge([m for i, m in enumerate(messages) if i not in kept_back])
                if accepted.held:
                    # Anything more of a held device would overtake it. At the next connection the
                    # broker hands over what was not acknowledged, first and in order.
                    report.drained = False
                    return
                # Uplinks that wait hold up no other device, for as long as the broker may have so
                # many unacknowledged, and has not given their packet ids out again.
                unacknowledged += len(accepted.waiting)
                since_first += len(messages) if unacknowledged else 0
                if unacknowledged:
                    report.drained = False
                if unacknowledged > _MAX_WAITING or since_first > _MAX_SINCE_FIRST_WAITING:
                    return
            if len(messages) < drain.batch_size:
                return
