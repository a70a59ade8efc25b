"""The implementations of ports.Queue that the contract suite runs on."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from uuid import uuid4

from mypy_boto3_sqs import SQSClient
from mypy_boto3_sqs.literals import QueueAttributeNameType

from contract.sqs_emulator import sqs_client
from fakes import FakeClock, MemoryQueue, MemoryQueueAdmin
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue import PostgresQueue, declare_queues
from plumbline.adapters.postgres.queue_admin import PostgresQueueAdmin
from plumbline.adapters.sqs import SqsQueue
from plumbline.errors import QueueUnavailable
from plumbline.ports import Queue, QueueAdmin
from plumbline.topology import QueueSpec

MAX_RECEIVES = 3
VISIBILITY_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Pair:
    """A queue and its dead-letter queue."""

    queue: Queue
    dead_letters: Queue


class Backend(ABC):
    """One implementation, and how a test makes queues, consumers and time of it."""

    large_batch: int
    """Messages in the test of large batches; the emulator takes a thousand a second."""

    @abstractmethod
    def pair(self, *, fifo: bool) -> Pair:
        """Make an empty queue with MAX_RECEIVES and VISIBILITY_TIMEOUT_S."""

    @abstractmethod
    def consumer(self, queue: Queue) -> Queue:
        """Return the queue as another consumer has it, for another thread."""

    @abstractmethod
    def pass_time(self, seconds: int) -> None:
        """Let the time pass that the queues go by."""

    def admin(self, pair: Pair) -> QueueAdmin:
        """Return what an operator has for the pair."""
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Close what has been opened."""


class MemoryBackend(Backend):
    """The fake."""

    large_batch = 10_000

    def __init__(self) -> None:
        self._clock = FakeClock()

    def pair(self, *, fifo: bool) -> Pair:
        dead_letters = MemoryQueue("work-dlq", fifo=fifo, clock=self._clock)
        queue = MemoryQueue(
            "work",
            fifo=fifo,
            clock=self._clock,
            visibility_timeout_s=VISIBILITY_TIMEOUT_S,
            max_receive_count=MAX_RECEIVES,
            dead_letters=dead_letters,
        )
        return Pair(queue, dead_letters)

    def consumer(self, queue: Queue) -> Queue:
        return queue

    def pass_time(self, seconds: int) -> None:
        self._clock.advance(seconds)

    def admin(self, pair: Pair) -> QueueAdmin:
        assert isinstance(pair.queue, MemoryQueue)
        return MemoryQueueAdmin(pair.queue)

    def close(self) -> None:
        pass


class PostgresBackend(Backend):
    """The queues of one machine. Its time passes by moving the stored times back.

    All is one connection's, but for consumers, which have their own.
    """

    large_batch = 10_000

    def __init__(self, database_url: str, *, block_from: int | None = None) -> None:
        self._url = database_url
        self._block_from = block_from
        self._databases = ExitStack()
        self._database = self._connect()

    def _connect(self) -> Database:
        database = Database(self._url, QueueUnavailable)
        self._databases.callback(database.close)
        return database

    def pair(self, *, fifo: bool) -> Pair:
        spec = QueueSpec(
            f"work-{uuid4().hex}",
            fifo=fifo,
            visibility_timeout_s=VISIBILITY_TIMEOUT_S,
            local_visibility_timeout_s=VISIBILITY_TIMEOUT_S,
            max_receive_count=MAX_RECEIVES,
        )
        declare_queues(self._database, [spec])
        return Pair(
            PostgresQueue(self._database, spec.name, fifo=fifo, block_from=self._block_from),
            PostgresQueue(self._database, spec.dead_letter_queue, fifo=fifo),
        )

    def consumer(self, queue: Queue) -> Queue:
        return PostgresQueue(
            self._connect(), queue.name, fifo=queue.fifo, block_from=self._block_from
        )

    def pass_time(self, seconds: int) -> None:
        with self._database.connection() as connection:
            connection.execute(
                "UPDATE queue_lease SET received_at = received_at - make_interval(secs => %(s)s),"
                " visible_at = visible_at - make_interval(secs => %(s)s)",
                {"s": seconds},
            )
            connection.execute(
                "UPDATE queue_deduplication SET sent_at = sent_at - make_interval(secs => %(s)s)",
                {"s": seconds},
            )
            connection.execute(
                "UPDATE queue_deduplication_block"
                " SET sent_at = sent_at - make_interval(secs => %(s)s)",
                {"s": seconds},
            )

    def admin(self, pair: Pair) -> QueueAdmin:  # noqa: ARG002 - one admin for all queues
        return PostgresQueueAdmin(self._database)

    def close(self) -> None:
        self._databases.close()


class SqsBackend(Backend):
    """SQS, as far as the emulator is it. Its time passes by itself."""

    large_batch = 1_000

    def __init__(self, endpoint_url: str) -> None:
        self.client: SQSClient = sqs_client(endpoint_url)

    def pair(self, *, fifo: bool) -> Pair:
        name = f"work-{uuid4().hex}"
        dead_letters = self._create(f"{name}-dlq", fifo=fifo)
        target = self.client.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["All"])
        policy = {
            "deadLetterTargetArn": target["Attributes"]["QueueArn"],
            "maxReceiveCount": MAX_RECEIVES,
        }
        queue = self._create(name, fifo=fifo, redrive_policy=json.dumps(policy))
        return Pair(
            SqsQueue(queue, name, fifo=fifo, client=self.client),
            SqsQueue(dead_letters, f"{name}-dlq", fifo=fifo, client=self.client),
        )

    def consumer(self, queue: Queue) -> Queue:
        return queue

    def pass_time(self, seconds: int) -> None:
        time.sleep(seconds + 1.1)  # time itself; the emulator looks at timeouts once a second

    def close(self) -> None:
        self.client.close()

    def _create(self, name: str, *, fifo: bool, redrive_policy: str | None = None) -> str:
        attributes: dict[QueueAttributeNameType, str] = {
            "VisibilityTimeout": str(VISIBILITY_TIMEOUT_S)
        }
        if fifo:
            name += ".fifo"
            attributes["FifoQueue"] = "true"
        if redrive_policy is not None:
            attributes["RedrivePolicy"] = redrive_policy
        url: str = self.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url


@contextmanager
def closing(backend: Backend) -> Iterator[Backend]:
    """Yield the backend and close it."""
    try:
        yield backend
    finally:
        backend.close()


def receive_all(queue: Queue, count: int, *, limit: int = 10) -> Sequence[str]:
    """Receive and delete ``count`` messages; return their bodies in the order of receipt."""
    bodies: list[str] = []
    while len(bodies) < count:
        messages = queue.receive(limit, wait_s=5)
        assert messages, f"only {len(bodies)} of {count} came"
        bodies += [message.body for message in messages]
        assert queue.delete([message.receipt_handle for message in messages]) == []
    return bodies
