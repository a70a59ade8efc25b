"""One batch of messages into the queue: decoded, ordered, sent, and receipted."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, MutableSet, Sequence
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
    Receipt,
    Refusal,
    new_batch_id,
    written_ids,
)
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading, Status
from plumbline.errors import InvalidPayload, QueueUnavailable
from plumbline.ports import (
    BrokerMessage,
    Clock,
    LorawanDevices,
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
        held, accepted = _outcome(items, failed)
        taken = len(messages) - len(held) - len(waiting)
        if items:
            receipt = Receipt(batch_id, now, taken, accepted)
            _require_accepted(self._queue.send([encode_receipt(receipt)]))
        kinds = [item.kind for item in items]
        return Accepted(
            frozenset(held),
            frozenset(waiting),
            kinds.count(ItemKind.READING),
            kinds.count(ItemKind.EVENT),
            kinds.count(ItemKind.REFUSAL),
            kinds.count(ItemKind.ANSWER),
        )


def _outcome(
    items: Sequence[PendingItem], failed: Collection[int]
) -> tuple[set[int], dict[str, int]]:
    """Return which broker messages are held, and the number of accepted items by device.

    Args:
        items: In the order of sending.
        failed: Positions of the queue messages that were not accepted.
    """
    held: set[int] = set()
    accepted = Counter([item.device_id for item in items])
    if not failed:
        return held, accepted
    position = 0
    for item in items:
        span = range(position, position + len(item.messages))
        position = span.stop
        failures = [index for index in span if index in failed]
        if failures:
            held.add(item.source)
        # A large refused message that went in partly counts: its parts will be found.
        if len(failures) == len(span):
            accepted[item.device_id] -= 1
    return held, +accepted


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
    identities = written_ids(batch_id)
    for source, message in enumerate(messages):
        uplink = uplinks.get(source)
        device_id = device_of_topic(message.topic) if uplink is None else uplink.device_id
        results = _results(message) if uplink is None else uplink.entries
        taken = only.get(source)
        for position, result in enumerate(results):
            if taken is not None and taken != position:
                continue
            identity = next(identities)
            frame = None if uplink is None else uplink.frame_of(position)
            if isinstance(result, Reading):
                outgoing = encode_delivered(result, identity, message.received_at, frame)
                alarm = result.status is Status.ALARM
                yield PendingItem(source, device_id, ItemKind.READING, alarm, (outgoing,))
            else:
                yield _other_item(
                    source,
                    message,
                    UUID(identity),
                    device_id,
                    result,
                    position=position if len(results) > 1 else None,
                    frame=frame,
                )


def _results(message: BrokerMessage) -> Sequence[Reading | CommandAnswer | InvalidPayload]:
    """Return the items of a message; one that says nothing to us has none."""
    try:
        if is_answer_topic(message.topic):
            answer = decode_answer(message.topic, message.payload)
            return [] if answer is None else [answer]
        return decode_message(message.topic, message.payload, message.received_at)
    except InvalidPayload as error:
        return [error.as_result()]


def _other_item(  # noqa: PLR0913 - all that is known of it
    source: int,
    message: BrokerMessage,
    delivery: UUID,
    device_id: str,
    result: DeviceEvent | CommandAnswer | InvalidPayload,
    *,
    position: int | None,
    frame: UUID | None,
) -> PendingItem:
    """Make what is sent for an item that is no reading.

    Args:
        source: The message's index.
        message: What held it.
        delivery: Its delivery id.
        device_id: Whose it is.
        result: The item.
        position: Place in the message, where it holds several items.
        frame: The radio frame that brought it, if one did.
    """
    received_at = message.received_at
    match result:
        case DeviceEvent():
            event = DeliveredEvent(result, delivery, received_at, frame or delivery)
            alarm = result.status is Status.ALARM
            return PendingItem(source, device_id, ItemKind.EVENT, alarm, [encode_event(event)])
        case CommandAnswer():
            arrival = Arrival(delivery, message.topic, message.payload, received_at, result.sender)
            answer = CommandEvent(
                result.command_id,
                device_id,
                result.kind,
                # What a network server's clock says, but never later than we had it.
                min(result.occurred_at or received_at, received_at),
                detail=result.detail,
                arrival=arrival,
            )
            messages = [encode_command_event(answer)]
            return PendingItem(source, device_id, ItemKind.ANSWER, alarm=False, messages=messages)
        case InvalidPayload():
            refusal = Refusal(
                delivery_id=delivery,
                device_id=device_id,
                topic=message.topic,
                raw=message.payload,
                reason=result.reason,
                detail=result.detail,
                received_at=received_at,
                item=position,
            )
            messages = list(encode_refusal(refusal))
            return PendingItem(source, device_id, ItemKind.REFUSAL, alarm=False, messages=messages)
