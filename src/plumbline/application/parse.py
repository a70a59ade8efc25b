"""From the broker to the queue: nothing is acknowledged before the queue has accepted it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plumbline.application.intake import Accepted, Intake
from plumbline.errors import BrokerUnavailable
from plumbline.ports import Broker, BrokerSession, Clock, Queue, RunLock
from plumbline.topology import Drain


@dataclass(slots=True)
class ParseReport:
    """What one run did.

    Attributes:
        messages: MQTT messages taken from the broker.
        readings, refusals: Items of these messages.
        held: MQTT messages that the queue did not accept; they stay with the broker.
        batches: Batches sent.
        sessions_created: Broker tasks that did not know our session: what they had queued for
            us, if anything, is gone.
        drained: False where the deadline ended the run before the backlog did.
    """

    messages: int = 0
    readings: int = 0
    refusals: int = 0
    held: int = 0
    batches: int = 0
    sessions_created: int = 0
    drained: bool = True

    def add(self, messages: int, accepted: Accepted) -> None:
        """Count one batch."""
        self.messages += messages
        self.readings += accepted.readings
        self.refusals += accepted.refusals
        self.held += len(accepted.held)
        self.batches += 1


class Parse:
    """Drains every broker task into the queue."""

    def __init__(
        self, broker: Broker, queue: Queue, clock: Clock, lock: RunLock, drain: Drain
    ) -> None:
        self._broker = broker
        self._intake = Intake(queue, clock)
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
        while True:
            if remaining_s() <= drain.margin_s:
                report.drained = False
                return
            messages = session.receive(
                drain.batch_size, linger_s=drain.linger_s, quiet_s=drain.quiet_s
            )
            if messages:
                accepted = self._intake.accept(messages)
                report.add(len(messages), accepted)
                session.acknowledge(
                    [m for index, m in enumerate(messages) if index not in accepted.held]
                )
                if accepted.held:
                    # Anything more of a held device would overtake it. At the next connection the
                    # broker hands over what was not acknowledged, first and in order.
                    report.drained = False
                    return
            if len(messages) < drain.batch_size:
                return
