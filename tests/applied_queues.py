"""The deployment's queues, with the attributes that Terraform gives them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mypy_boto3_sqs import SQSClient
from mypy_boto3_sqs.literals import QueueAttributeNameType

_TOPOLOGY = Path(__file__).parents[1] / "terraform" / "topology.json"
_PREFIX = "tilt-sensor-lab"

Attributes = dict[QueueAttributeNameType, str]


def queues_of_topology() -> dict[str, dict[str, Any]]:
    """Return what Terraform reads of the queues, by name."""
    found: dict[str, dict[str, Any]] = json.loads(_TOPOLOGY.read_text("utf-8"))["queues"]
    return found


def attributes(queue: Mapping[str, Any]) -> Attributes:
    """Return the attributes of a queue, but for its redrive policy.

    A test holds them against the plan.
    """
    return {
        "VisibilityTimeout": str(queue["visibility_timeout_s"]),
        "MessageRetentionPeriod": str(queue["retention_s"]),
        "ReceiveMessageWaitTimeSeconds": "20",
        "SqsManagedSseEnabled": "true",
        **_fifo_attributes(queue),
    }


def dead_letter_attributes(queue: Mapping[str, Any]) -> Attributes:
    """Return the attributes of a dead-letter queue."""
    return {
        "VisibilityTimeout": str(queue["visibility_timeout_s"]),
        "MessageRetentionPeriod": str(queue["dead_letter_retention_s"]),
        "SqsManagedSseEnabled": "true",
        **_fifo_attributes(queue),
    }


def _fifo_attributes(queue: Mapping[str, Any]) -> Attributes:
    if not queue["fifo"]:
        return {}
    return {
        "FifoQueue": "true",
        "ContentBasedDeduplication": "false",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
    }


def queue_name(name: str, *, fifo: bool) -> str:
    """Return the name that Terraform gives the topology's queue."""
    return f"sqs-fifo-{_PREFIX}-{name}.fifo" if fifo else f"sqs-{_PREFIX}-{name}"


@dataclass(frozen=True, slots=True)
class AppliedQueues:
    """All queues of the topology, by URL."""

    client: SQSClient
    urls: Mapping[str, str]
    """By name; dead-letter queues with ``-dlq`` behind it."""

    def __getitem__(self, name: str) -> str:
        return self.urls[name]

    def depth(self, name: str) -> int:
        """Return how many messages the queue holds, in flight or not."""
        answer = self.client.get_queue_attributes(QueueUrl=self[name], AttributeNames=["All"])
        found = answer["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(
            found["ApproximateNumberOfMessagesNotVisible"]
        )

    def bodies(self, name: str) -> list[dict[str, Any]]:
        """Return what up to ten messages hold; the next receive brings them again."""
        answer = self.client.receive_message(
            QueueUrl=self[name], MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=1
        )
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def apply_queues(client: SQSClient) -> AppliedQueues:
    """Create them."""
    urls: dict[str, str] = {}
    for name, queue in queues_of_topology().items():
        fifo = queue["fifo"]
        dead = client.create_queue(
            QueueName=queue_name(f"{name}-dlq", fifo=fifo),
            Attributes=dead_letter_attributes(queue),
        )["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        policy = {
            "deadLetterTargetArn": arn["Attributes"]["QueueArn"],
            "maxReceiveCount": queue["max_receive_count"],
        }
        made = client.create_queue(
            QueueName=queue_name(name, fifo=fifo),
            Attributes={**attributes(queue), "RedrivePolicy": json.dumps(policy)},
        )["QueueUrl"]
        urls |= {name: made, f"{name}-dlq": dead}
    return AppliedQueues(client, urls)
