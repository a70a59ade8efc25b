"""One batch of messages into the queue: decoded, ordered, sent, and receipted."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableSet, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from plumbline.application.known_devices import KnownDevices
from plumbline.application.ordering import ItemKind, PendingItem, alarms_first
from plumbline.application.uplinks import ReadUplink, Uplinks
from plumbline.codecs.command_answer import decode_answer, is_answer_topic
from plumbline.codecs.queue_message import (
    encode_command_event,
    encode_delivered,
    encode_event,
    encode_receipt,
    encode_refusal,
)
from plumbline.codecs.telemetry import decode_message, device_of_topic
from plumbline.domain.command_event import Arrival, CommandAnswer, CommandEvent
from plumbline.domain.delivery import (
    DeliveredEvent,
    DeliveredReading,
    Receipt,
    Refusal,
    delivery_id,
    new_batch_id,
)
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading, Status
from plumbline.errors import InvalidPayload, QueueUnavailable
from plumbline.ports import (
    BrokerMessage,
    Clock,
    LorawanDevices,
    OutgoingMessage,
    Queue,
    SendFailure,
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a batch.

    Attributes:
        held: Indexes of the messages that the queue did not accept, or not whole.
        waiting: Indexes of the uplinks that wait until the registry of devices can be asked.
        readings, events, refusals, answers: Items in the batch.
    """

    held: frozenset[int]
    waiting: frozenset[int]
    readings: int
    events: int
    refusals: int
    answers: int


class Intake:
    """Sends batches to the queue `distributing`.

    Args:
        queue: The queue.
        clock: Wall-clock time.
        registry: Of LoRaWAN devices; without one, every uplink is of an unknown device.
        batch_ids: Makes a batch's id of its time; never the same twice.
    """

    def __init__(
        self,
        queue: Queue,
        clock: Clock,
        registry: LorawanDevices | None = None,
        batch_ids: Callable[[datetime], str] = new_batch_id,
    ) -> None:
        self._queue = queue
        self._batch_ids = batch_ids
        self._clock = clock
        self._uplinks = Uplinks(KnownDevices(registry, clock))

    def accept(
        self,
        messages: Sequence[BrokerMessage],
        only: Mapping[int, int] | None = None,
        *,
        held_devices: MutableSet[str] | None = None,
    ) -> Accepted:
        """Send one batch and its receipt.

        Args:
            messages: In the order of receipt.
            only: By index of a message that holds several items, the one to take of it.
            held_devices: DevEUIs whose earlier uplinks wait; gets the new ones.

        Raises:
            QueueUnavailable: Nothing may be acknowledged.
        """
        now = self._clock.now()
        batch_id = self._batch_ids(now)
        uplinks = self._uplinks.read(messages, set() if held_devices is None else held_devices)
        waiting = {index for index, uplink in uplinks.items() if not uplink.entries}
        items = alarms_first(_items(messages, uplinks, batch_id, only or {}))
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
        taken = len(messages) - len(held) - len(waiting)
        if items:
            receipt = Receipt(batch_id, now, taken, dict(accepted))
            _require_accepted(self._queue.send([encode_receipt(receipt)]))
        kinds = Counter(item.kind for item in items)
        return Accepted(
            frozenset(held),
            frozenset(waiting),
            kinds[ItemKind.READING],
            kinds[ItemKind.EVENT],
            kinds[ItemKind.REFUSAL],
            kinds[ItemKind.ANSWER],
        )


def _require_accepted(failures: Sequence[SendFailure]) -> None:
    if failures:
        msg = f"the receipt was not accepted: {failures[0].code}"
        raise QueueUnavailable(msg)


def _items(
    messages: Sequence[BrokerMessage],
    uplinks: Mapping[int, ReadUplink],
    batch_id: str,
    only: Mapping[int, int],
) -> Iterator[PendingItem]:
    index = 0
    for source, message in enumerate(messages):
        uplink = uplinks.get(source)
        device_id = device_of_topic(message.topic) if uplink is None else uplink.device_id
        results = _results(message) if uplink is None else uplink.entries
        for position, result in enumerate(results):
            if only.get(source, position) != position:
                continue
            delivery = _Delivery(
                source,
                message,
                delivery_id(batch_id, index),
                device_id,
                position if len(results) > 1 else None,
                None if uplink is None else uplink.frame_of(position),
            )
            yield delivery.item(result)
            index += 1


def _results(message: BrokerMessage) -> Sequence[Reading | CommandAnswer | InvalidPayload]:
    """Return the items of a message; one that says nothing to us has none."""
    try:
        if is_answer_topic(message.topic):
            answer = decode_answer(message.topic, message.payload)
            return [] if answer is None else [answer]
        return decode_message(message.topic, message.payload, message.received_at)
    except InvalidPayload as error:
        return [error]


@dataclass(slots=True)
class _Delivery:
    """One item of a message.

    Attributes:
        source: The message's index.
        identity: The delivery id.
        position: Place in the message, where it holds several items.
        frame: The radio frame that brought it, if one did.
    """

    source: int
    message: BrokerMessage
    identity: UUID
    device_id: str
    position: int | None
    frame: UUID | None

    def item(self, result: Reading | DeviceEvent | CommandAnswer | InvalidPayload) -> PendingItem:
        """Make what is sent for it."""
        received_at = self.message.received_at
        match result:
            case Reading():
                reading = DeliveredReading(result, self.identity, received_at, self.frame)
                return self._item(ItemKind.READING, result.status, [encode_delivered(reading)])
            case DeviceEvent():
                event = DeliveredEvent(
                    result, self.identity, received_at, self.frame or self.identity
                )
                return self._item(ItemKind.EVENT, result.status, [encode_event(event)])
            case CommandAnswer():
                answer = encode_command_event(self._answer(result))
                return self._item(ItemKind.ANSWER, None, [answer])
            case InvalidPayload():
                refusal = Refusal(
                    delivery_id=self.identity,
                    device_id=self.device_id,
                    topic=self.message.topic,
                    raw=self.message.payload,
                    reason=result.reason,
                    detail=result.detail,
                    received_at=received_at,
                    item=self.position,
                )
                return self._item(ItemKind.REFUSAL, None, list(encode_refusal(refusal)))

    def _item(
        self, kind: ItemKind, status: Status | None, messages: Sequence[OutgoingMessage]
    ) -> PendingItem:
        return PendingItem(
            self.source,
            self.device_id,
            kind=kind,
            alarm=status is Status.ALARM,
            messages=messages,
        )

    def _answer(self, answer: CommandAnswer) -> CommandEvent:
        message = self.message
        return CommandEvent(
            answer.command_id,
            self.device_id,
            answer.kind,
            # What a network server's clock says, but never later than we had it.
            min(answer.occurred_at or message.received_at, message.received_at),
            detail=answer.detail,
            arrival=Arrival(
                self.identity, message.topic, message.payload, message.received_at, answer.sender
            ),
        )
