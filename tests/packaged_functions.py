"""The functions of an unpacked archive as processes, and what stands before them on AWS."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from mypy_boto3_sqs import SQSClient
from mypy_boto3_sqs.type_defs import MessageTypeDef

from plumbline.topology import TOPOLOGY

_DRIVER = Path(__file__).with_name("lambda_driver.py")
_STOP_S = 10
_REQUEST_ENTRIES = 10
_REGION = "eu-central-1"


class FunctionFailed(Exception):
    """The invocation ended with an error."""


class PackagedFunction:
    """One instance of a function, which runs one event at a time.

    Attributes:
        requests: How many it has made to SQS.
        dies_in_next: Kill the process when it has its next event.

    Args:
        tree: Where the archive was unpacked.
        name: Of the function, in the topology.
        environment: Its settings; it gets no other variable but Lambda's own.
    """

    def __init__(self, tree: Path, name: str, environment: Mapping[str, str]) -> None:
        self.requests = 0
        self.dies_in_next = False
        self._log: IO[bytes] = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - closed with the instance
        self._command = [
            *(sys.executable, "-I", "-S", str(_DRIVER), str(tree)),
            TOPOLOGY.function(name).handler,
        ]
        self._environment = {
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            **environment,
        }
        self._process = self._start()

    def invoke(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Run the handler once.

        Raises:
            FunctionFailed: It raised, or its process has ended; the next invocation has another.
        """
        if self._process.poll() is not None:
            self._end()
            self._process = self._start()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(event) + "\n")
            self._process.stdin.flush()
            if self.dies_in_next:
                self.dies_in_next = False
                self._process.kill()
        except BrokenPipeError as error:
            raise FunctionFailed(self.log()) from error
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise FunctionFailed(self.log())
        answer = json.loads(line)
        self.requests += answer["requests"]
        if "error" in answer:
            raise FunctionFailed(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def log(self) -> str:
        """Return what the function has printed."""
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    def close(self) -> None:
        """End the process."""
        self._end()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _end(self) -> None:
        try:
            self._process.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command,
            env=self._environment,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )


class EventSourceMapping:
    """Receives batches, invokes the function, and deletes what it did not report as failed.

    Attributes:
        failures: Of whole invocations.
        requests: How many it has made to SQS.
        partial: Invocations that reported some messages as failed.
        loses_next_answer: Delete nothing after the next invocation.
        patient: Let what was not deleted come again after the queue's visibility timeout, which
            is minutes; else it comes again at once.

    Args:
        client: Of SQS.
        queue_url: Where it receives.
        queue: Its name in the topology.
        function: What it invokes.
    """

    def __init__(
        self, client: SQSClient, queue_url: str, queue: str, function: PackagedFunction
    ) -> None:
        [source] = [s for s in TOPOLOGY.event_sources if s.queue == queue]
        self.function = function
        self.failures: list[str] = []
        self.requests = 0
        self.partial = 0
        self.loses_next_answer = False
        self.patient = False
        self._client = client
        self._url = queue_url
        self._queue = queue
        self._batch_size = source.batch_size
        self._window_s = source.window_s

    def poll(self) -> int:
        """Run one batch; return how many messages it had."""
        batch = self._receive()
        if not batch:
            return 0
        event = {"Records": [self._record(message) for message in batch]}
        try:
            response = self.function.invoke(event)
        except FunctionFailed as error:
            self.failures.append(str(error))
            self._return(batch)
            return len(batch)
        if self.loses_next_answer:
            self.loses_next_answer = False
            self._return(batch)
            return len(batch)
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        assert failed <= {message["MessageId"] for message in batch}
        self.partial += 0 < len(failed) < len(batch)
        self._delete([message for message in batch if message["MessageId"] not in failed])
        self._return([message for message in batch if message["MessageId"] in failed])
        return len(batch)

    def _receive(self) -> list[MessageTypeDef]:
        """Gather until the batch is full or the window is over, which begins with a message."""
        batch: list[MessageTypeDef] = []
        deadline_s = time.monotonic()
        while len(batch) < self._batch_size:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(_REQUEST_ENTRIES, self._batch_size - len(batch)),
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
                WaitTimeSeconds=0,
            )
            self.requests += 1
            received = answer.get("Messages", [])
            if received and not batch:
                deadline_s = time.monotonic() + self._window_s
            batch += received
            if not received or time.monotonic() >= deadline_s:
                break
        return batch

    def _delete(self, messages: Sequence[MessageTypeDef]) -> None:
        for start in range(0, len(messages), _REQUEST_ENTRIES):
            entries = messages[start : start + _REQUEST_ENTRIES]
            answer = self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                    for number, message in enumerate(entries)
                ],
            )
            self.requests += 1
            assert not answer.get("Failed")

    def _return(self, messages: Sequence[MessageTypeDef]) -> None:
        """Skip the wait for the timeout; no request of Lambda's, so it is not counted."""
        if self.patient:
            return
        for message in messages:
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )

    def _record(self, message: MessageTypeDef) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {
                name: {
                    "stringValue": attribute.get("StringValue"),
                    "stringListValues": [],
                    "binaryListValues": [],
                    "dataType": attribute["DataType"],
                }
                for name, attribute in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{_REGION}:000000000000:{self._queue}",
            "awsRegion": _REGION,
        }
