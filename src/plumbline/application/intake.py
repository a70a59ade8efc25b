"""One batch of messages into the queue: decoded, ordered, sent, and receipted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from plumbline.application.ordering import ItemKind, PendingItem, alarms_first
from plumbline.codecs.command_answer import decode_answer, is_answer_topic
from plumbline.codecs.queue_message import (
    encode_command_event,
    encode_delivered,
    encode_receipt,
    encode_refusal,
)
from plumbline.codecs.telemetry import decode_message, device_of_topic
from plumbline.domain.command_event import Arrival, CommandAnswer, CommandEvent
from plumbline.domain.delivery import (
    DeliveredReading,
    Receipt,
    Refusal,
    delivery_id,
    new_batch_id,
)
from plumbline.domain.reading import Reading, Status
from plumbline.errors import InvalidPayload, QueueUnavailable
from plumbline.ports import BrokerMessage, Clock, Queue, SendFailure


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a batch.

    Attributes:
        held: Indexes of the messages that the queue did not accept, or not whole.
        readings, refusals, answers: Items in the batch.
    """

    held: frozenset[int]
    readings: int
    refusals: int
    answers: int


class Intake:
    """Sends batches to the queue `distributing`."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock

    def accept(
        self, messages: Sequence[BrokerMessage], only: Mapping[int, int] | None = None
    ) -> Accepted:
        """Send one batch and its receipt.

        Args:
            messages: In the order of receipt.
            only: By index of a message that is an array, the one element to take of it.

        Raises:
            QueueUnavailable: Nothing may be acknowledged.
        """
        now = self._clock.now()
        batch_id = new_batch_id(now)
        items = alarms_first(_items(messages, batch_id, only or {}))
        outgoing = [message for item in items for message in item.messages]
        failed = {failure.index for failure in self._queue.send(outgoing)}
        held: set[int] = set()
        accepted: Counter[str] = Counter()
        position = 0
        for item in items:
            span = range(position, position + len(item.messages))
            position = span.stop
            failures = failed.intersection(span)
            if failures:
                held.add(item.source)
            if len(failures) < len(span):
                # A large refused message that went in partly counts: its parts will be found.
                accepted[item.device_id] += 1
        receipt = Receipt(batch_id, now, len(messages) - len(held), dict(accepted))
        _require_accepted(self._queue.send([encode_receipt(receipt)]))
        kinds = Counter(item.kind for item in items)
        return Accepted(
            frozenset(held),
            kinds[ItemKind.READING],
            kinds[ItemKind.REFUSAL],
            kinds[ItemKind.ANSWER],
        )


def _require_accepted(failures: Sequence[SendFailure]) -> None:
    if failures:
        msg = f"the receipt was not accepted: {failures[0].code}"
        raise QueueUnavailable(msg)


def _items(
    messages: Sequence[BrokerMessage], batch_id: str, only: Mapping[int, int]
) -> Iterator[PendingItem]:
    index = 0
    for source, message in enumerate(messages):
        for position, result in _results(message):
            if only.get(source, position) != position:
                continue
            yield _item(source, message, delivery_id(batch_id, index), position, result)
            index += 1


def _results(
    message: BrokerMessage,
) -> Iterator[tuple[int | None, Reading | CommandAnswer | InvalidPayload]]:
    """Yield each element of the message with its position in an array, or None without one.

    A message that says nothing to us has no element; it is acknowledged, and no more.
    """
    try:
        if is_answer_topic(message.topic):
            answer = decode_answer(message.topic, message.payload)
            if answer is not None:
                yield None, answer
            return
        results = decode_message(message.topic, message.payload, message.received_at)
    except InvalidPayload as error:
        yield None, error
        return
    if len(results) == 1:
        yield None, results[0]
    else:
        yield from enumerate(results)


def _item(
    source: int,
    message: BrokerMessage,
    identity: UUID,
    position: int | None,
    result: Reading | CommandAnswer | InvalidPayload,
) -> PendingItem:
    device_id = device_of_topic(message.topic)
    if isinstance(result, CommandAnswer):
        event = _event(message, identity, device_id, result)
        return PendingItem(
            source,
            device_id,
            kind=ItemKind.ANSWER,
            alarm=False,
            messages=[encode_command_event(event)],
        )
    if isinstance(result, Reading):
        delivered = DeliveredReading(result, identity, message.received_at)
        return PendingItem(
            source,
            device_id,
            kind=ItemKind.READING,
            alarm=result.status is Status.ALARM,
            messages=[encode_delivered(delivered)],
        )
    refusal = Refusal(
        delivery_id=identity,
        device_id=device_id,
        topic=message.topic,
        raw=message.payload,
        reason=result.reason,
        detail=result.detail,
        received_at=message.received_at,
        item=position,
    )
    return PendingItem(
        source,
        device_id,
        kind=ItemKind.REFUSAL,
        alarm=False,
        messages=list(encode_refusal(refusal)),
    )


def _event(
    message: BrokerMessage, identity: UUID, device_id: str, answer: CommandAnswer
) -> CommandEvent:
    # What a network server's clock says, but never later than we had it.
    occurred_at = min(answer.occurred_at or message.received_at, message.received_at)
    return CommandEvent(
        answer.command_id,
        device_id,
        answer.kind,
        occurred_at,
        detail=answer.detail,
        arrival=Arrival(
            identity, message.topic, message.payload, message.received_at, answer.sender
        ),
    )
