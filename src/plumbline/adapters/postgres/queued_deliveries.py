"""Deliveries that lie in the queues and have no outcome yet."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import NAMESPACE_OID, UUID, uuid5

import msgspec
import psycopg

from plumbline.adapters.postgres.binary_arrays import Moments, Texts, Uuids
from plumbline.adapters.postgres.queries import load
from plumbline.codecs.queue_message import decode, delivery_of, is_accounted
from plumbline.domain.delivery import (
    UNATTRIBUTED,
    DeliveredEvent,
    DeliveredReading,
    Receipt,
    batch_of,
)
from plumbline.domain.reading import is_device_id
from plumbline.errors import InvalidMessage
from plumbline.ports import QueueMessage
from plumbline.topology import TOPOLOGY

_SQL = load("ledger.sql")
_CHUNK = 5000

_Connection = psycopg.Connection[Any]
_ByBatch = Mapping[str, Counter[str]]


@dataclass(frozen=True, slots=True)
class QueuedDeliveries:
    """Distinct deliveries without an outcome, by batch id and device id.

    Attributes:
        in_flight: In a queue.
        dead_lettered: In a dead-letter queue only.
        receipts: Batches whose receipt is in either.
    """

    in_flight: _ByBatch
    dead_lettered: _ByBatch
    receipts: frozenset[str]

    def batches(self) -> set[str]:
        """Return the batches that have deliveries here."""
        return self.in_flight.keys() | self.dead_lettered.keys()


class _Place(msgspec.Struct, frozen=True):
    """Where a delivery's row would be, in the words of a reading's body.

    Without a time it cannot have one.
    """

    device_id: str
    timestamp: datetime | None = None


_decode_place = msgspec.json.Decoder(_Place).decode
_decode_attributes = msgspec.json.Decoder(dict[str, str]).decode
_Located: TypeAlias = tuple[UUID, _Place]


@dataclass(slots=True)
class _Search:
    """What was found so far."""

    known: set[UUID] = field(default_factory=set)
    receipts: set[str] = field(default_factory=set)


def find_queued_deliveries(connection: _Connection) -> QueuedDeliveries:
    """Read all queues, in the transaction that is open.

    A message may be in two queues at once, between being forwarded and being deleted, and it may
    lie in a queue after its outcome was committed.
    """
    accounted = [spec for spec in TOPOLOGY.queues if spec.accounted]
    queues = [spec.name for spec in accounted]
    dead_letter_queues = [spec.dead_letter_queue for spec in accounted]
    search = _Search()
    # In this order: what is in a queue and in a dead-letter queue is in flight.
    in_flight = _count(connection, queues, search)
    dead_lettered = _count(connection, dead_letter_queues, search)
    return QueuedDeliveries(in_flight, dead_lettered, frozenset(search.receipts))


def _count(connection: _Connection, queues: Sequence[str], search: _Search) -> _ByBatch:
    batches: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with connection.cursor(name="queued_messages") as cursor:
        cursor.execute(_SQL["queued_messages"], {"queues": queues})
        while rows := cursor.fetchmany(_CHUNK):
            found = _deliveries(rows, search)
            for delivery_id in found.keys() - _with_outcome(connection, found):
                batches[batch_of(delivery_id)][found[delivery_id].device_id] += 1
    return batches


def _deliveries(rows: Iterable[tuple[Any, ...]], search: _Search) -> dict[UUID, _Place]:
    """Return the deliveries that were not seen before."""
    found: dict[UUID, _Place] = {}
    for own_delivery, *message in rows:
        located = _locate_own(own_delivery, message[2]) if own_delivery else None
        if located is None:
            located = _locate(_message(message), search)
        if located is not None:
            delivery_id, place = located
            if delivery_id not in search.known:
                search.known.add(delivery_id)
                found[delivery_id] = place
    return found


def _locate_own(delivery: str, body: str) -> _Located | None:
    """Read what parsing sent, without judging it; there may be a hundred thousand of them.

    Returns:
        None where it is not what parsing sends.
    """
    try:
        return UUID(delivery), _decode_place(body)
    except (ValueError, msgspec.MsgspecError):
        return None


def _locate(message: QueueMessage, search: _Search) -> _Located | None:
    if not is_accounted(message):
        return None
    try:
        content = decode(message)
    except InvalidMessage:
        # It will end in a dead-letter queue; until somebody discards it there, it counts.
        return _identity(message), _Place(_device_of_group(message))
    match content:
        case Receipt():
            search.receipts.add(content.batch_id)
            return None
        case DeliveredReading(reading=reading):
            place = _Place(reading.device_id, reading.observed_at)
        case DeliveredEvent(event=event):
            place = _Place(event.device_id)
        case _:
            place = _Place(content.device_id)
    return content.delivery_id, place


def _with_outcome(connection: _Connection, found: Mapping[UUID, _Place]) -> set[UUID]:
    if not found:
        return set()
    readings = [
        (delivery_id, place.device_id, place.timestamp)
        for delivery_id, place in found.items()
        if place.timestamp is not None
    ]
    moments = [moment for _, _, moment in readings]
    rows = connection.execute(
        _SQL["with_outcome"],
        {
            "delivery_id": Uuids([delivery_id for delivery_id, _, _ in readings]),
            "device_id": Texts([device_id for _, device_id, _ in readings]),
            "timestamp": Moments(moments),
            "first": min(moments, default=None),
            "last": max(moments, default=None),
            "all_delivery_id": Uuids(list(found)),
        },
    )
    return {delivery_id for (delivery_id,) in rows}


def _message(row: Sequence[Any]) -> QueueMessage:
    message_id, group_id, body, attributes, sent_at = row
    return QueueMessage(
        message_id=str(message_id),
        receipt_handle="",
        body=body,
        attributes=_decode_attributes(attributes),
        group_id=group_id,
        deduplication_id=None,
        sequence_number=None,
        sent_at=sent_at,
        first_received_at=sent_at,
        receive_count=0,
    )


def _identity(message: QueueMessage) -> UUID:
    try:
        return delivery_of(message)
    except InvalidMessage:
        return uuid5(NAMESPACE_OID, message.message_id)


def _device_of_group(message: QueueMessage) -> str:
    group_id = message.group_id or UNATTRIBUTED
    return group_id if is_device_id(group_id) else UNATTRIBUTED
