"""Queues on Amazon SQS."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from plumbline.adapters.sending import screen
from plumbline.adapters.sqs_sending import REQUEST_ENTRIES, Sending
from plumbline.errors import QueueUnavailable
from plumbline.ports import OutgoingMessage, QueueDepth, QueueMessage, SendFailure

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        MessageTypeDef,
        ReceiveMessageRequestTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

_MAX_WAIT_S = 20
RETRY_DELAYS_S = (0.1, 0.4, 1.6)

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 4},
    connect_timeout=5,
    read_timeout=_MAX_WAIT_S + 10,
)


class SqsQueue:
    """One queue; may be used by several threads.

    Args:
        queue_url: As SQS gives it.
        name: For messages to people.
        fifo: Whether the queue is one.
        client: Without it, boto3's own for the environment.
        retry_delays_s: Waits before an entry is tried again that failed by no fault of ours.
    """

    def __init__(
        self,
        queue_url: str,
        name: str,
        *,
        fifo: bool,
        client: "SQSClient | None" = None,
        retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
    ) -> None:
        self.name = name
        self.fifo = fifo
        self._url = queue_url
        self._client: SQSClient = client or boto3.client("sqs", config=_CONFIG)
        self._retry_delays_s = retry_delays_s

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        """Send in order in requests of ten; see ports.Queue."""
        accepted, failures = screen(messages, fifo=self.fifo)
        sending = Sending(messages, accepted, self._retry_delays_s, fifo=self.fifo)
        while request := sending.next_request():
            entries = [self._entry(index, messages[index]) for index in request]
            with _unavailable():
                response = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            failed = {int(entry["Id"]): entry for entry in response.get("Failed", [])}
            for index in request:
                if index in failed:
                    sending.failed(_failure(index, failed[index]))
                else:
                    sending.accepted(index)
        return sorted(failures + sending.failures, key=lambda failure: failure.index)

    def receive(
        self, max_messages: int, *, wait_s: float = 0.0, visibility_s: float | None = None
    ) -> list[QueueMessage]:
        """Receive in requests of ten; waits whole seconds, rounded up; see ports.Queue."""
        deadline_s = time.monotonic() + wait_s
        messages: list[QueueMessage] = []
        while len(messages) < max_messages:
            left_s = 0.0 if messages else max(0.0, deadline_s - time.monotonic())
            try:
                received = self._receive(max_messages - len(messages), left_s, visibility_s)
            except QueueUnavailable:
                if messages:  # these are in flight already; the next call shows the trouble
                    break
                raise
            messages += received
            if not received and (messages or time.monotonic() >= deadline_s):
                break
        return messages

    def delete(self, receipt_handles: Sequence[str]) -> list[str]:
        """Delete received messages and return the expired handles; see ports.Queue."""

        def request(handles: Sequence[str]) -> "list[BatchResultErrorEntryTypeDef]":
            response = self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": handle}
                    for number, handle in enumerate(handles)
                ],
            )
            return response.get("Failed", [])

        return self._refused(receipt_handles, request)

    def change_visibility(self, receipt_handles: Sequence[str], visibility_s: float) -> None:
        """Set another visibility timeout, in whole seconds rounded up; see ports.Queue."""

        def request(handles: Sequence[str]) -> "list[BatchResultErrorEntryTypeDef]":
            response = self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {
                        "Id": str(number),
                        "ReceiptHandle": handle,
                        "VisibilityTimeout": math.ceil(visibility_s),
                    }
                    for number, handle in enumerate(handles)
                ],
            )
            return response.get("Failed", [])

        self._refused(receipt_handles, request)

    def depth(self) -> QueueDepth:
        """Return SQS's approximate counts; it tells no age."""
        return self._depth(self._url)

    def dead_letter_depth(self) -> QueueDepth:
        """Return the same of the queue's dead-letter queue; nothing where it has none.

        Raises:
            QueueUnavailable: SQS cannot be reached or refuses.
        """
        with _unavailable():
            attributes = self._client.get_queue_attributes(
                QueueUrl=self._url, AttributeNames=["RedrivePolicy"]
            ).get("Attributes", {})
        if "RedrivePolicy" not in attributes:
            return QueueDepth(0, 0, None)
        arn: str = json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"]
        # Of the same account and region, as SQS demands.
        return self._depth(f"{self._url.rpartition('/')[0]}/{arn.rpartition(':')[2]}")

    def _depth(self, url: str) -> QueueDepth:
        with _unavailable():
            attributes = self._client.get_queue_attributes(
                QueueUrl=url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                    "ApproximateNumberOfMessagesDelayed",
                ],
            )["Attributes"]
        return QueueDepth(
            visible=int(attributes["ApproximateNumberOfMessages"]),
            in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"])
            + int(attributes["ApproximateNumberOfMessagesDelayed"]),
            oldest_age_s=None,
        )

    def _entry(self, index: int, message: OutgoingMessage) -> "SendMessageBatchRequestEntryTypeDef":
        entry: SendMessageBatchRequestEntryTypeDef = {
            "Id": str(index),
            "MessageBody": message.body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value}
                for name, value in message.attributes.items()
            },
        }
        if self.fifo:
            # Both are there: screen() lets no FIFO message without them pass.
            entry["MessageGroupId"] = message.group_id or ""
            entry["MessageDeduplicationId"] = message.deduplication_id or ""
        return entry

    def _receive(
        self, max_messages: int, wait_s: float, visibility_s: float | None
    ) -> list[QueueMessage]:
        request: ReceiveMessageRequestTypeDef = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": min(max_messages, REQUEST_ENTRIES),
            "WaitTimeSeconds": min(math.ceil(wait_s), _MAX_WAIT_S),
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        if visibility_s is not None:
            request["VisibilityTimeout"] = math.ceil(visibility_s)
        if self.fifo:
            # If the answer is lost, boto3's repetition brings the same messages.
            request["ReceiveRequestAttemptId"] = str(uuid4())
        with _unavailable():
            response = self._client.receive_message(**request)
        return [_message(message) for message in response.get("Messages", [])]

    def _refused(
        self,
        receipt_handles: Sequence[str],
        request: "Callable[[Sequence[str]], list[BatchResultErrorEntryTypeDef]]",
    ) -> list[str]:
        """Make the requests, try again what failed at SQS, and return the handles it refuses."""
        refused: list[str] = []
        for start in range(0, len(receipt_handles), REQUEST_ENTRIES):
            pending = receipt_handles[start : start + REQUEST_ENTRIES]
            for delay_s in (*self._retry_delays_s, None):
                with _unavailable():
                    failed = request(pending)
                refused += [pending[int(e["Id"])] for e in failed if e["SenderFault"]]
                pending = [pending[int(e["Id"])] for e in failed if not e["SenderFault"]]
                if not pending:
                    break
                if delay_s is None:
                    raise QueueUnavailable(failed[0]["Code"])
                time.sleep(delay_s)
        return refused


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise QueueUnavailable(str(error)) from error


def _failure(index: int, entry: "BatchResultErrorEntryTypeDef") -> SendFailure:
    return SendFailure(
        index, entry["Code"], entry.get("Message", ""), sender_fault=entry["SenderFault"]
    )


def _message(message: "MessageTypeDef") -> QueueMessage:
    system = message["Attributes"]
    return QueueMessage(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        body=message["Body"],
        attributes={
            name: attribute["StringValue"]
            for name, attribute in message.get("MessageAttributes", {}).items()
            if "StringValue" in attribute
        },
        group_id=system.get("MessageGroupId"),
        deduplication_id=system.get("MessageDeduplicationId"),
        sequence_number=system.get("SequenceNumber"),
        sent_at=_time(system["SentTimestamp"]),
        first_received_at=_time(system["ApproximateFirstReceiveTimestamp"]),
        receive_count=int(system["ApproximateReceiveCount"]),
    )


def _time(milliseconds: str) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
