"""From the broker to the queue: nothing is acknowledged before the queue has accepted it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from plumbline.application.ordering import PendingItem, alarms_first
from plumbline.application.pipeline_message import (
    encode_delivered,
    encode_receipt,
    encode_refusal,
)
from plumbline.codecs.telemetry import decode_message, device_of_topic
from plumbline.domain.delivery import (
    DeliveredReading,
    Receipt,
    Refusal,
    delivery_id,
    new_batch_id,
)
from plumbline.domain.reading import Reading, Status
from plumbline.errors import BrokerUnavailable, InvalidPayload, QueueUnavailable
from plumbline.ports import Broker, BrokerMessage, BrokerSession, Clock, Queue, RunLock, SendFailure
from plumbline.topology import Drain


@dataclass(slots=True)
class ParseReport:
    """What one run did.

    Attributes:
        messages: MQTT messages taken from the broker.
        readings, refusals: Items accepted by the queue.
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


class Parse:
    """Drains every broker task into the queue."""

    def __init__(
        self, broker: Broker, queue: Queue, clock: Clock, lock: RunLock, drain: Drain
    ) -> None:
        self._broker = broker
        self._queue = queue
        self._clock = clock
        self._lock = lock
        self._drain = drain

    def run(self, remaining_s: Callable[[], float]) -> ParseReport:
        """Take what the broker has until it is drained or the time is nearly up.

        Args:
            remaining_s: Seconds until the run must be over.

        Raises:
            AlreadyRunning: Another run is at work.
            BrokerUnavailable: A broker task could not be drained; the others were.
            QueueUnavailable: The queue accepts nothing; nothing more was acknowledged.
        """
        report = ParseReport()
        failures: list[BrokerUnavailable] = []
        with self._lock.hold("parsing"):
            for address in self._broker.addresses():
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
                held = self._process(messages, report)
                session.acknowledge(
                    [message for index, message in enumerate(messages) if index not in held]
                )
                if held:
                    # Anything more of a held device would overtake it. At the next connection the
                    # broker hands over what was not acknowledged, first and in order.
                    report.drained = False
                    return
            if len(messages) < drain.batch_size:
                return

    def _process(self, messages: Sequence[BrokerMessage], report: ParseReport) -> set[int]:
        """Send one batch and its receipt; return the indexes of messages not accepted."""
        now = self._clock.now()
        batch_id = new_batch_id(now)
        items = alarms_first(_items(messages, batch_id))
        outgoing = [message for item in items for message in item.messages]
        failed = {failure.index: failure for failure in self._queue.send(outgoing)}
        held: set[int] = set()
        accepted: Counter[str] = Counter()
        position = 0
        for item in items:
            span = range(position, position + len(item.messages))
            position = span.stop
            failures = [index for index in span if index in failed]
            if failures:
                held.add(item.source)
            if len(failures) < len(span):
                accepted[item.device_id] += 1
        receipt = Receipt(
            batch_id=batch_id,
            received_at=now,
            messages=len(messages) - len(held),
            items=dict(accepted),
        )
        _require_accepted(self._queue.send([encode_receipt(receipt)]))
        report.messages += len(messages)
        report.held += len(held)
        report.batches += 1
        refused = sum(not _is_reading(item) for item in items)
        report.refusals += refused
        report.readings += len(items) - refused
        return held


def _is_reading(item: PendingItem) -> bool:
    return item.messages[0].attributes["type"] == "reading"


def _require_accepted(failures: Sequence[SendFailure]) -> None:
    if failures:
        msg = f"the receipt was not accepted: {failures[0].code}"
        raise QueueUnavailable(msg)


def _items(messages: Sequence[BrokerMessage], batch_id: str) -> Iterator[PendingItem]:
    index = 0
    for source, message in enumerate(messages):
        device_id = device_of_topic(message.topic)
        results: Sequence[Reading | InvalidPayload]
        try:
            results = decode_message(message.topic, message.payload, message.received_at)
        except InvalidPayload as error:
            results = [error]
            whole = True
        else:
            whole = len(results) == 1
        for position, result in enumerate(results):
            identity = delivery_id(batch_id, index)
            index += 1
            if isinstance(result, Reading):
                delivered = DeliveredReading(result, identity, message.received_at)
                yield PendingItem(
                    source,
                    device_id,
                    alarm=result.status is Status.ALARM,
                    messages=[encode_delivered(delivered)],
                )
            else:
                refusal = Refusal(
                    delivery_id=identity,
                    device_id=device_id,
                    topic=message.topic,
                    raw=message.payload,
                    reason=result.reason,
                    detail=result.detail,
                    received_at=message.received_at,
                    item=None if whole else position,
                )
                yield PendingItem(
                    source, device_id, alarm=False, messages=list(encode_refusal(refusal))
                )
