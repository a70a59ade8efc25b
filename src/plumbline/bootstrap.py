"""The only place that wires adapters to use cases; adapters are imported where they are used.

A function's process thereby loads only what that function needs, which is its cold start.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from plumbline.adapters.clock import SystemClock
from plumbline.adapters.run_lock import FileRunLock, ReservedConcurrencyLock
from plumbline.application.distribute import Distribute
from plumbline.application.parse import Parse
from plumbline.application.persist import Persist
from plumbline.application.retention import Retention
from plumbline.application.sync import Sync
from plumbline.errors import ConfigurationError, QueueUnavailable, StoreUnavailable
from plumbline.ports import Queue, RunLock
from plumbline.settings import (
    Db1Settings,
    DistributingSettings,
    MaintenanceSettings,
    ParsingSettings,
    Secret,
    SyncSettings,
    load,
)
from plumbline.topology import TOPOLOGY

if TYPE_CHECKING:
    from plumbline.adapters.postgres.queue import PostgresQueue

_T = TypeVar("_T")


def once_a_thread(make: Callable[[], _T]) -> Callable[[], _T]:
    """Return a function that makes its value at the first call in each thread and keeps it."""
    local = threading.local()

    def get() -> _T:
        if not hasattr(local, "value"):
            local.value = make()
        value: _T = local.value
        return value

    return get


def parse() -> Parse:
    """Wire the parsing function."""
    from plumbline.adapters.mqtt.drain import MqttBroker  # noqa: PLC0415 - see the module's docstring

    settings = load(ParsingSettings)
    local = settings.plumbline_run_dir is not None
    broker = MqttBroker(
        settings.broker_endpoint.reveal(),
        [topic.strip() for topic in settings.mqtt_topic.split(",")],
        ca_file=None if settings.broker_ca_file is None else Path(settings.broker_ca_file),
    )
    lock: RunLock = ReservedConcurrencyLock()
    if settings.plumbline_run_dir is not None:
        lock = FileRunLock(Path(settings.plumbline_run_dir))
    return Parse(
        broker,
        _queue(settings.distributing_queue_url, "distributing"),
        SystemClock(),
        lock,
        TOPOLOGY.local_drain if local else TOPOLOGY.drain,
    )


def distribute() -> Distribute:
    """Wire the distributing function."""
    settings = load(DistributingSettings)
    return Distribute({"db1": _queue(settings.db1_queue_url, "db1")})


def persist() -> Persist:
    """Wire the DB1 function."""
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.reading_store import PostgresReadingStore  # noqa: PLC0415

    url = load(Db1Settings).database_url.reveal()
    return Persist(PostgresReadingStore(Database(url, StoreUnavailable)))


def sync() -> Sync:
    """Wire the sync function."""
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.statuses import PostgresStatuses  # noqa: PLC0415
    from plumbline.adapters.redis import RedisStatusCache  # noqa: PLC0415

    settings = load(SyncSettings)
    return Sync(
        PostgresStatuses(Database(settings.database_url.reveal(), StoreUnavailable)),
        RedisStatusCache(settings.redis_url.reveal()),
        SystemClock(),
    )


def retention() -> Retention:
    """Wire the maintenance function."""
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.retention import PostgresRetention  # noqa: PLC0415

    url = load(MaintenanceSettings).database_url.reveal()
    return Retention(PostgresRetention(Database(url, StoreUnavailable)), SystemClock())


def local_queue(database_url: str, name: str, *, holder: str = "") -> "PostgresQueue":
    """Return a queue of the topology on PostgreSQL.

    Args:
        database_url: Where it is.
        name: Of the topology, or its dead-letter queue's.
        holder: Names the consumer; see PostgresQueue.release.
    """
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.queue import PostgresQueue  # noqa: PLC0415

    spec = next(q for q in TOPOLOGY.queues if name in (q.name, q.dead_letter_queue))
    database = Database(database_url, QueueUnavailable)
    return PostgresQueue(database, name, fifo=spec.fifo, holder=holder)


def _queue(url: Secret, name: str) -> Queue:
    """Return the queue that a queue URL names: SQS's, or ``postgresql://…#name``."""
    scheme, _, rest = url.reveal().partition("://")
    if scheme == "postgresql":
        database_url, _, fragment = rest.partition("#")
        if fragment != name:
            msg = f"the URL of queue {name} must end with #{name}"
            raise ConfigurationError(msg)
        return local_queue(f"{scheme}://{database_url}", name)
    if scheme in {"https", "http"}:
        from plumbline.adapters.sqs import SqsQueue  # noqa: PLC0415 - see the module's docstring

        return SqsQueue(url.reveal(), name, fifo=TOPOLOGY.queue(name).fifo)
    msg = f"the URL of queue {name} must begin with https:// or postgresql://"
    raise ConfigurationError(msg)
