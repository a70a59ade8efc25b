"""What SqsQueue makes of answers that no emulator gives: entries that fail, throttling, errors."""

from collections.abc import Iterator, Sequence
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from plumbline.adapters.sqs import SqsQueue
from plumbline.errors import QueueUnavailable
from plumbline.ports import OutgoingMessage

URL = "https://sqs.eu-central-1.amazonaws.com/000000000000/work.fifo"


class ScriptedSqs:
    """A client of which a test says what each request holds and what its answer is."""

    def __init__(self) -> None:
        self.client = boto3.client(
            "sqs",
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - nothing is signed for anybody
        )
        self.stubber = Stubber(self.client)

    def queue(self, *, fifo: bool, retries: int = 1) -> SqsQueue:
        """Return the queue; it does not wait between its retries."""
        return SqsQueue(URL, "work", fifo=fifo, client=self.client, retry_delays_s=[0.0] * retries)

    def expect_send(self, indices: Sequence[int], failed: dict[int, str] | None = None) -> None:
        """Expect a request with these entries; ``failed`` are SQS's own failures."""
        answer = {
            "Successful": [
                {"Id": str(index), "MessageId": "m", "MD5OfMessageBody": "0"}
                for index in indices
                if index not in (failed or {})
            ],
            "Failed": self._failed(failed or {}),
        }
        entries = [
            {
                "Id": str(index),
                "MessageBody": ANY,
                "MessageAttributes": ANY,
                "MessageGroupId": ANY,
                "MessageDeduplicationId": ANY,
            }
            for index in indices
        ]
        self.stubber.add_response(
            "send_message_batch", answer, {"QueueUrl": URL, "Entries": entries}
        )

    def expect_delete(self, handles: Sequence[str], failed: Sequence[dict[str, Any]] = ()) -> None:
        """Expect a deletion of these handles."""
        entries = [{"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate(handles)]
        answer = {"Successful": [], "Failed": list(failed)}
        self.stubber.add_response(
            "delete_message_batch", answer, {"QueueUrl": URL, "Entries": entries}
        )

    @staticmethod
    def _failed(codes: dict[int, str]) -> list[dict[str, Any]]:
        return [
            {"Id": str(index), "Code": code, "SenderFault": code.startswith("Invalid")}
            for index, code in codes.items()
        ]


@pytest.fixture
def sqs() -> Iterator[ScriptedSqs]:
    """Yield a scripted SQS and check that its script was played to the end."""
    scripted = ScriptedSqs()
    with scripted.stubber:
        yield scripted
        scripted.stubber.assert_no_pending_responses()
    scripted.client.close()


def messages(groups: str) -> list[OutgoingMessage]:
    """Make a message for each letter, which is its group."""
    return [OutgoingMessage(str(n), {}, group, str(n)) for n, group in enumerate(groups)]


def outcome(queue: SqsQueue, groups: str) -> list[tuple[int, str]]:
    return [(failure.index, failure.code) for failure in queue.send(messages(groups))]


def test_entry_3_fails_and_is_retried_before_its_device_goes_on(sqs: ScriptedSqs) -> None:
    """Ten devices; the one of entry 3 has two more messages, device A one more."""
    sqs.expect_send(range(10), failed={3: "InternalError"})
    sqs.expect_send([12])  # while entry 3 waits, another device goes on
    sqs.expect_send([3])
    sqs.expect_send([10])
    sqs.expect_send([11])
    queue = SqsQueue(URL, "work", fifo=True, client=sqs.client, retry_delays_s=[0.05])
    assert outcome(queue, "ABCDEFGHIJ" + "DDA") == []


def test_after_its_retries_an_entry_fails_and_its_group_is_held(sqs: ScriptedSqs) -> None:
    sqs.expect_send([0, 2], failed={0: "InternalError"})
    sqs.expect_send([0, 3], failed={0: "InternalError"})
    sqs.expect_send([0, 5], failed={0: "InternalError"})
    assert outcome(sqs.queue(fifo=True, retries=2), "AABBAB") == [
        (0, "InternalError"),
        (1, "Held"),
        (4, "Held"),
    ]


def test_a_failure_of_ours_is_not_retried(sqs: ScriptedSqs) -> None:
    sqs.expect_send([0, 1], failed={1: "InvalidParameterValue"})
    assert outcome(sqs.queue(fifo=True), "ABB") == [(1, "InvalidParameterValue"), (2, "Held")]


def test_two_messages_of_a_group_are_never_in_one_request(sqs: ScriptedSqs) -> None:
    sqs.expect_send([0, 3])
    sqs.expect_send([1, 4])
    sqs.expect_send([2])
    assert outcome(sqs.queue(fifo=True), "AAABB") == []


def test_requests_stay_below_the_size_limit(sqs: ScriptedSqs) -> None:
    sqs.expect_send([0, 1])
    sqs.expect_send([2])
    sent = [OutgoingMessage("x" * 100_000, {"k": "v"}, g, g) for g in "ABC"]
    assert sqs.queue(fifo=True).send(sent) == []


def test_a_standard_queue_holds_nothing_back(sqs: ScriptedSqs) -> None:
    queue = sqs.queue(fifo=False)
    for indices, failed in (([0, 1], [0]), ([0], [0])):
        sqs.stubber.add_response(
            "send_message_batch",
            {
                "Successful": [],
                "Failed": [
                    {"Id": str(n), "Code": "InternalError", "SenderFault": False} for n in failed
                ],
            },
            {
                "QueueUrl": URL,
                "Entries": [
                    {"Id": str(n), "MessageBody": ANY, "MessageAttributes": ANY} for n in indices
                ],
            },
        )
    assert outcome(queue, "AA") == [(0, "InternalError")]


@pytest.mark.parametrize(
    ("code", "status"),
    [("ThrottlingException", 400), ("InternalFailure", 500), ("AccessDenied", 403)],
)
def test_an_error_for_the_whole_request_says_unavailable(
    sqs: ScriptedSqs, code: str, status: int
) -> None:
    for call in ("send_message_batch", "receive_message", "get_queue_attributes"):
        sqs.stubber.add_client_error(call, code, http_status_code=status)
    queue = sqs.queue(fifo=True)
    with pytest.raises(QueueUnavailable, match=code):
        queue.send(messages("A"))
    with pytest.raises(QueueUnavailable, match=code):
        queue.receive(1)
    with pytest.raises(QueueUnavailable, match=code):
        queue.depth()


def test_an_expired_handle_is_returned_and_the_rest_deleted(sqs: ScriptedSqs) -> None:
    handles = [f"h{n}" for n in range(12)]
    expired = {"Id": "4", "Code": "InvalidParameterValue", "SenderFault": True}
    sqs.expect_delete(handles[:10], failed=[expired])
    sqs.expect_delete(handles[10:])
    assert sqs.queue(fifo=True).delete(handles) == ["h4"]


def test_a_deletion_that_fails_at_sqs_is_retried_then_unavailable(sqs: ScriptedSqs) -> None:
    sqs.expect_delete(
        ["a", "b", "c"], failed=[{"Id": "1", "Code": "InternalError", "SenderFault": False}]
    )
    sqs.expect_delete(["b"], failed=[{"Id": "0", "Code": "InternalError", "SenderFault": False}])
    with pytest.raises(QueueUnavailable, match="InternalError"):
        sqs.queue(fifo=True, retries=1).delete(["a", "b", "c"])


def test_what_was_received_before_an_error_is_returned(sqs: ScriptedSqs) -> None:
    received = [
        {
            "MessageId": str(n),
            "ReceiptHandle": str(n),
            "Body": str(n),
            "Attributes": {
                "SentTimestamp": "1770000000000",
                "ApproximateFirstReceiveTimestamp": "1770000000500",
                "ApproximateReceiveCount": "2",
            },
        }
        for n in range(10)
    ]
    sqs.stubber.add_response("receive_message", {"Messages": received})
    sqs.stubber.add_client_error("receive_message", "ServiceUnavailable", http_status_code=503)
    messages = sqs.queue(fifo=True).receive(20)
    assert [message.body for message in messages] == [str(n) for n in range(10)]
    assert {message.receive_count for message in messages} == {2}
