"""The SQS event of an event source mapping, and its answer."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, overload

from plumbline.ports import QueueMessage


def messages_of(event: dict[str, Any]) -> list[QueueMessage]:
    """Return the event's records in their order."""
    records = event["Records"]
    if isinstance(records, _Received):
        return list(records.messages)
    return [_message(record) for record in records]


def batch_response(failed: Iterable[str]) -> dict[str, Any]:
    """Return the answer that makes only the failed messages come again."""
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def event_of(messages: Sequence[QueueMessage], queue: str) -> dict[str, Any]:
    """Return the event that Lambda would make of received messages.

    Its records are made as they are asked for; `messages_of` does not ask.
    """
    return {"Records": _Received(messages, queue)}


class _Received(Sequence[dict[str, Any]]):
    """Received messages, to be read as SQS records."""

    def __init__(self, messages: Sequence[QueueMessage], queue: str) -> None:
        self.messages = messages
        self._queue = queue

    def __len__(self) -> int:
        return len(self.messages)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [_record(message, self._queue) for message in self.messages[index]]
        return _record(self.messages[index], self._queue)


def _message(record: dict[str, Any]) -> QueueMessage:
    system = record["attributes"]
    return QueueMessage(
        message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        body=record["body"],
        attributes={
            name: value["stringValue"]
            for name, value in record["messageAttributes"].items()
            if value.get("stringValue") is not None
        },
        group_id=system.get("MessageGroupId"),
        deduplication_id=system.get("MessageDeduplicationId"),
        sequence_number=system.get("SequenceNumber"),
        sent_at=_moment(system["SentTimestamp"]),
        first_received_at=_moment(system["ApproximateFirstReceiveTimestamp"]),
        receive_count=int(system["ApproximateReceiveCount"]),
    )


def _record(message: QueueMessage, queue: str) -> dict[str, Any]:
    system = {
        "ApproximateReceiveCount": str(message.receive_count),
        "SentTimestamp": _milliseconds(message.sent_at),
        "SenderId": "plumbline",
        "ApproximateFirstReceiveTimestamp": _milliseconds(message.first_received_at),
    }
    if message.group_id is not None:
        system["MessageGroupId"] = message.group_id
    if message.deduplication_id is not None:
        system["MessageDeduplicationId"] = message.deduplication_id
    if message.sequence_number is not None:
        system["SequenceNumber"] = message.sequence_number
    return {
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": system,
        "messageAttributes": {
            name: {"stringValue": value, "dataType": "String"}
            for name, value in message.attributes.items()
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:local:000000000000:{queue}",
        "awsRegion": "local",
    }


# The messages of a batch were mostly sent together.
@lru_cache(1024)
def _moment(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


@lru_cache(1024)
def _milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))
