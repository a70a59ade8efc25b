"""The queues that the pipeline's tests run on are those of the plan."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from applied_queues import (
    Attributes,
    attributes,
    dead_letter_attributes,
    queue_name,
    queues_of_topology,
)
from infra.deployment_plan import Plan, Resource

PLANNED = {
    "VisibilityTimeout": "visibility_timeout_seconds",
    "MessageRetentionPeriod": "message_retention_seconds",
    "ReceiveMessageWaitTimeSeconds": "receive_wait_time_seconds",
    "SqsManagedSseEnabled": "sqs_managed_sse_enabled",
    "FifoQueue": "fifo_queue",
    "ContentBasedDeduplication": "content_based_deduplication",
    "DeduplicationScope": "deduplication_scope",
    "FifoThroughputLimit": "fifo_throughput_limit",
}
# What SQS, and so the provider, takes where nothing is said.
DEFAULTS = {
    "ReceiveMessageWaitTimeSeconds": "0",
    "FifoQueue": "false",
    "ContentBasedDeduplication": "false",
}


def planned(resource: Resource) -> dict[str, str]:
    values = {name: resource.values.get(key) for name, key in PLANNED.items()}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }


def without_defaults(found: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in found.items() if DEFAULTS.get(name) != value}


@pytest.mark.parametrize("name", queues_of_topology())
@pytest.mark.parametrize(
    ("resource", "expected", "suffix"),
    [("main", attributes, ""), ("dead_letter", dead_letter_attributes, "-dlq")],
    ids=["queue", "dead letters"],
)
def test_a_queue_is_applied_as_it_is_planned(
    lab: Plan,
    name: str,
    resource: str,
    expected: Callable[[Mapping[str, Any]], Attributes],
    suffix: str,
) -> None:
    queue = queues_of_topology()[name]
    found = lab[f'module.sqs.aws_sqs_queue.{resource}["{name}"]']
    assert found["name"] == queue_name(name + suffix, fifo=queue["fifo"])
    assert without_defaults(planned(found)) == without_defaults(dict(expected(queue).items()))
