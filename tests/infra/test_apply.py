"""The whole life of a deployment against an emulator: apply, nothing to change, calls, destroy."""

import logging
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from infra.emulated_aws import Deployment, largest_child_mb, prepare, running_aws
from infra.terraform_command import initialised_copy
from plumbline.topology import TOPOLOGY

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]

_log = logging.getLogger(__name__)

_PREFIX = "tilt-sensor-lab"
_SCHEDULED = {schedule.function for schedule in TOPOLOGY.schedules}
_FAILED_RUNS = "failed-runs"

# Who sends to each queue, and who takes from it; nobody does so with the dead letters.
SENDERS = {
    "distributing": {"parsing", "mqtt_command", "lorawan_command", "operate"},
    "db1": {"distributing"},
    "mqtt-command": {"portal"},
    "lorawan-command": {"portal"},
    _FAILED_RUNS: _SCHEDULED,
}
TAKERS = {
    "distributing": {"distributing"},
    "db1": {"db1"},
    "mqtt-command": {"mqtt_command"},
    "lorawan-command": {"lorawan_command"},
}
# What the ledger counts.
COUNTERS = {"operate", "portal"}
COUNTED = {"distributing", "distributing-dlq", "db1", "db1-dlq"}
ROLES = [*(function.name for function in TOPOLOGY.functions), "portal", "broker-task"]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Yield the applied lab."""
    terraform = initialised_copy(tmp_path_factory.mktemp("applied") / "copy")
    with running_aws() as url:
        deployment = prepare(terraform, url)
        done = deployment.apply()
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stdout
        yield deployment
    # With --log-cli-level=INFO.
    _log.info("largest process %.0f MB; seconds: %s", largest_child_mb(), deployment.took_s)


def test_what_was_applied_is_what_is_planned(deployment: Deployment) -> None:
    """The second plan is empty: nothing is changed at each apply."""
    done = deployment.run("plan", "-detailed-exitcode")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(deployment.resources()) > 300


def _role(component: str) -> str:
    is_function = component in {function.name for function in TOPOLOGY.functions}
    name = component.replace("_", "-")
    return f"iam-role-{_PREFIX}-{'lambda-' if is_function else ''}{name}"


def _queue_names() -> dict[str, str]:
    names = {_FAILED_RUNS: f"sqs-{_PREFIX}-{_FAILED_RUNS}"}
    for queue in TOPOLOGY.queues:
        kind, end = ("sqs-fifo", ".fifo") if queue.fifo else ("sqs", "")
        names[queue.name] = f"{kind}-{_PREFIX}-{queue.name}{end}"
        names[queue.dead_letter_queue] = f"{kind}-{_PREFIX}-{queue.dead_letter_queue}{end}"
    return names


_CALLS: dict[str, Callable[["SQSClient", str, dict[str, str]], object]] = {
    "send": lambda sqs, url, fifo: sqs.send_message(QueueUrl=url, MessageBody="{}", **fifo),  # type: ignore[arg-type] # which keys there are depends on the queue
    "send_batch": lambda sqs, url, fifo: sqs.send_message_batch(
        QueueUrl=url,
        Entries=[{"Id": "1", "MessageBody": "{}", **fifo}],  # type: ignore[typeddict-item] # likewise
    ),
    "receive": lambda sqs, url, _: sqs.receive_message(QueueUrl=url),
    "delete": lambda sqs, url, _: sqs.delete_message(QueueUrl=url, ReceiptHandle="none"),
    "look": lambda sqs, url, _: sqs.get_queue_attributes(QueueUrl=url),
    "purge": lambda sqs, url, _: sqs.purge_queue(QueueUrl=url),
    "change": lambda sqs, url, _: sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"VisibilityTimeout": "0"}
    ),
}


def test_p4_2_each_role_can_make_its_own_calls_to_queues_and_nobody_elses(
    deployment: Deployment,
) -> None:
    clients = {role: deployment.sqs_as(_role(role)) for role in ROLES}
    allowed = {
        *(("send", queue, role) for queue, roles in SENDERS.items() for role in roles),
        *(("send_batch", queue, role) for queue, roles in SENDERS.items() for role in roles),
        *(
            (call, queue, role)
            for call in ("receive", "delete", "look")
            for queue, roles in TAKERS.items()
            for role in roles
        ),
        *(("look", queue, role) for queue in COUNTED for role in COUNTERS),
    }
    urls = {
        queue: clients["portal"].get_queue_url(QueueName=name)["QueueUrl"]
        for queue, name in _queue_names().items()
    }
    with deployment.permissions_enforced():
        succeeded = {
            (call, queue, role)
            for role, sqs in clients.items()
            for queue, url in urls.items()
            for call, make in _CALLS.items()
            if _is_allowed(sqs, url, make)
        }
    assert succeeded == allowed


def _is_allowed(
    sqs: "SQSClient", url: str, make: Callable[["SQSClient", str, dict[str, str]], object]
) -> bool:
    fifo = {"MessageGroupId": "d", "MessageDeduplicationId": "d"} if url.endswith(".fifo") else {}
    try:
        make(sqs, url, fifo)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.FORBIDDEN
    return True


def test_everything_can_be_destroyed(deployment: Deployment) -> None:
    done = deployment.destroy()
    assert done.returncode == 0, done.stderr
    assert deployment.resources() == []
