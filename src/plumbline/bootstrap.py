"""The only place that wires adapters to use cases; adapters are imported where they are used.

A function's process thereby loads only what that function needs, which is its cold start.
"""

import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from plumbline.adapters.clock import SystemClock
from plumbline.adapters.run_lock import FileRunLock, ReservedConcurrencyLock
from plumbline.application.distribute import Distribute
from plumbline.application.intake import Intake
from plumbline.application.parse import Parse
from plumbline.application.persist import Persist
from plumbline.application.quarantine import Replay
from plumbline.application.retention import Retention
from plumbline.application.sync import Sync
from plumbline.errors import ConfigurationError, QueueUnavailable, StoreUnavailable
from plumbline.ports import Broker, DeviceCredentials, Ledger, Queue, RunLock
from plumbline.settings import (
    DEFAULT_TOPICS,
    Db1Settings,
    DistributingSettings,
    LorawanCommandSettings,
    MaintenanceSettings,
    MigrateSettings,
    MqttCommandSettings,
    ParsingSettings,
    PortalSettings,
    Secret,
    SyncSettings,
    load,
)
from plumbline.topology import TOPOLOGY

if TYPE_CHECKING:
    from plumbline.adapters.mqtt.shared_credentials import SharedCredentials
    from plumbline.adapters.postgres.command_outbox import PostgresCommandOutbox
    from plumbline.adapters.postgres.device_events import PostgresDeviceEvents
    from plumbline.adapters.postgres.lorawan_devices import PostgresLorawanDevices
    from plumbline.adapters.postgres.quarantine import PostgresQuarantine
    from plumbline.adapters.postgres.queue import PostgresQueue
    from plumbline.adapters.postgres.queue_admin import PostgresQueueAdmin
    from plumbline.adapters.postgres.statuses import PostgresStatuses
    from plumbline.application.accounts import Accounts
    from plumbline.application.devices import Devices
    from plumbline.application.issue_command import Commands
    from plumbline.application.relay_commands import RelayCommands
    from plumbline.application.send_command import Encode, SendCommands

_T = TypeVar("_T")

# Where the fixed cost of a block is less than that of so many rows.
_BLOCK_FROM = 50

_REGISTRY_SILENCE_S = 5.0
_SQS_SCHEMES = ("https://", "http://")
_NONE: Mapping[str, None] = MappingProxyType({})


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
    settings = load(ParsingSettings)
    lock: RunLock = ReservedConcurrencyLock()
    local = settings.plumbline_run_dir is not None
    if settings.plumbline_run_dir is not None:
        lock = FileRunLock(Path(settings.plumbline_run_dir))
    registry = settings.database_url
    return Parse(
        ingest_broker(
            settings.broker_endpoint.reveal(), settings.mqtt_topic, settings.broker_ca_file
        ),
        Intake(
            queue(settings.distributing_queue_url, "distributing"),
            SystemClock(),
            None if registry is None else lorawan_devices(registry.reveal()),
        ),
        lock,
        TOPOLOGY.local_drain if local else TOPOLOGY.drain,
    )


def ingest_broker(url: str, topics: str = DEFAULT_TOPICS, ca_file: str | None = None) -> Broker:
    """Return the broker with the ingest session.

    Args:
        url: With user and password.
        topics: Filters, separated by commas.
        ca_file: PEM certificates to trust instead of the system's.
    """
    from plumbline.adapters.mqtt.drain import MqttBroker  # noqa: PLC0415 - see the module's docstring

    filters = [topic.strip() for topic in topics.split(",")]
    return MqttBroker(url, filters, ca_file=None if ca_file is None else Path(ca_file))


def shared_credentials(url: str) -> "SharedCredentials":
    """Return the devices' password file that all broker tasks read.

    Args:
        url: ``s3://bucket/key``.
    """
    from plumbline.adapters.mqtt.shared_credentials import SharedCredentials  # noqa: PLC0415 - see the module's docstring

    return SharedCredentials(url)


def devices(database_url: str, credentials: DeviceCredentials) -> "Devices":
    """Return the device registry in that database."""
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.devices import PostgresDeviceRegistry  # noqa: PLC0415
    from plumbline.application.devices import Devices  # noqa: PLC0415

    return Devices(PostgresDeviceRegistry(Database(database_url, StoreUnavailable)), credentials)


def lorawan_devices(database_url: str) -> "PostgresLorawanDevices":
    """Return the registry in that database, as uplinks ask it."""
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.lorawan_devices import PostgresLorawanDevices  # noqa: PLC0415

    # A database that has gone silent must not hold up the devices that need no registry.
    database = Database(database_url, StoreUnavailable, silence_s=_REGISTRY_SILENCE_S)
    return PostgresLorawanDevices(database)


def device_events(database_url: str) -> "PostgresDeviceEvents":
    """Return the devices' events in that database."""
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.device_events import PostgresDeviceEvents  # noqa: PLC0415

    return PostgresDeviceEvents(Database(database_url, StoreUnavailable))


def queue_admin(database_url: str) -> "PostgresQueueAdmin":
    """Return the operator's view of the queues in that database."""
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.queue_admin import PostgresQueueAdmin  # noqa: PLC0415

    return PostgresQueueAdmin(Database(database_url, QueueUnavailable))


def distribute() -> Distribute:
    """Wire the distributing function."""
    settings = load(DistributingSettings)
    return Distribute({"db1": queue(settings.db1_queue_url, "db1")})


def persist() -> Persist:
    """Wire the DB1 function."""
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.reading_store import PostgresReadingStore  # noqa: PLC0415

    url = load(Db1Settings).database_url.reveal()
    return Persist(PostgresReadingStore(Database(url, StoreUnavailable)))


def send_mqtt_commands() -> "SendCommands":
    """Wire the function that sends commands to MQTT devices."""
    from plumbline.application.command_encoding import encode_for_mqtt  # noqa: PLC0415 - see the module's docstring

    settings = load(MqttCommandSettings)
    return _send_commands(
        settings.mqtt_command_broker_endpoint or settings.broker_endpoint,
        settings.broker_ca_file,
        settings.distributing_queue_url,
        encode_for_mqtt,
        "mqtt-command",
    )


def send_lorawan_commands() -> "SendCommands":
    """Wire the function that sends commands to LoRaWAN devices."""
    from plumbline.application.command_encoding import encode_for_lorawan  # noqa: PLC0415 - see the module's docstring

    settings = load(LorawanCommandSettings)
    return _send_commands(
        settings.lorawan_command_broker_endpoint or settings.broker_endpoint,
        settings.broker_ca_file,
        settings.distributing_queue_url,
        encode_for_lorawan,
        "lorawan-command",
    )


def _send_commands(
    broker: Secret, ca_file: str | None, events: Secret, encode: "Encode", name: str
) -> "SendCommands":
    from plumbline.adapters.mqtt.publisher import MqttPublisher  # noqa: PLC0415 - see the module's docstring
    from plumbline.application.send_command import SendCommands  # noqa: PLC0415

    return SendCommands(
        MqttPublisher(broker.reveal(), ca_file=None if ca_file is None else Path(ca_file)),
        queue(events, "distributing"),
        SystemClock(),
        encode,
        TOPOLOGY.queue(name).max_receive_count,
    )


@asynccontextmanager
async def commands(database_url: str) -> AsyncIterator["Commands"]:
    """Yield the commands of that database, for one event loop."""
    from plumbline.adapters.postgres.async_database import AsyncDatabase  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.commands import PostgresCommands  # noqa: PLC0415
    from plumbline.application.issue_command import Commands  # noqa: PLC0415

    database = AsyncDatabase(database_url, max_connections=1)
    await database.open()
    try:
        yield Commands(PostgresCommands(database), SystemClock())
    finally:
        await database.close()


def relay_commands(settings: PortalSettings) -> "tuple[RelayCommands, PostgresCommandOutbox]":
    """Wire the relay of commands, for one thread; the outbox tells when there is something new."""
    from plumbline.adapters.postgres.command_outbox import PostgresCommandOutbox  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415
    from plumbline.application.relay_commands import COMMAND_QUEUES, RelayCommands  # noqa: PLC0415

    url = settings.database_url.reveal()
    given = {
        "mqtt-command": settings.mqtt_command_queue_url,
        "lorawan-command": settings.lorawan_command_queue_url,
    }
    queues: dict[str, Queue] = {}
    for name in COMMAND_QUEUES.values():
        address = given[name]
        queues[name] = local_queue(url, name) if address is None else queue(address, name)
    outbox = PostgresCommandOutbox(Database(url, StoreUnavailable), settings.command_ack_grace_s)
    return RelayCommands(outbox, queues), outbox


def sync() -> Sync:
    """Wire the sync function."""
    from plumbline.adapters.redis import RedisStatusCache  # noqa: PLC0415 - see the module's docstring

    settings = load(SyncSettings)
    return Sync(
        statuses(settings.database_url.reveal()),
        RedisStatusCache(settings.redis_url.reveal()),
        SystemClock(),
    )


def retention(database_url: str | None = None) -> Retention:
    """Wire the maintenance function; on the database of its settings where none is given."""
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.retention import PostgresRetention  # noqa: PLC0415

    url = database_url or load(MaintenanceSettings).database_url.reveal()
    return Retention(PostgresRetention(Database(url, StoreUnavailable)), SystemClock())


def migrate_database() -> dict[str, list[str]]:
    """Apply pending revisions and grant the roles their privileges; return what was applied.

    Raises:
        StoreUnavailable: The database cannot be reached.
        ConfigurationError: Its schema is of a newer version, or the user may not make roles.
    """
    from plumbline.adapters.postgres.migrate import migrate  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.privileges import grant_privileges  # noqa: PLC0415

    url = load(MigrateSettings).database_url.reveal()
    return {"applied": migrate(url), "roles": grant_privileges(url)}


def statuses(database_url: str) -> "PostgresStatuses":
    """Return device status and fleet statistics of that database."""
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.statuses import PostgresStatuses  # noqa: PLC0415

    return PostgresStatuses(Database(database_url, StoreUnavailable))


def ledger(database_url: str, queue_urls: Mapping[str, Secret | None] = _NONE) -> Ledger:
    """Return the account of that database.

    Args:
        database_url: Where receipts and outcomes are.
        queue_urls: Of the accounted queues, by name. Those on SQS are counted there; others are in
            the database.
    """
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.ledger import PostgresLedger  # noqa: PLC0415

    stored = PostgresLedger(Database(database_url, StoreUnavailable))
    on_sqs = {
        name: url.reveal()
        for name, url in queue_urls.items()
        if url is not None and url.reveal().startswith(_SQS_SCHEMES)
    }
    if not on_sqs:
        return stored
    from plumbline.adapters.sqs import SqsQueue  # noqa: PLC0415 - see the module's docstring
    from plumbline.application.ledger_with_queues import LedgerWithQueues  # noqa: PLC0415

    return LedgerWithQueues(
        stored,
        [SqsQueue(url, name, fifo=TOPOLOGY.queue(name).fifo) for name, url in on_sqs.items()],
    )


def quarantine(database_url: str) -> "PostgresQuarantine":
    """Return the refused messages of that database."""
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.quarantine import PostgresQuarantine  # noqa: PLC0415

    return PostgresQuarantine(Database(database_url, StoreUnavailable))


def replay(database_url: str, queue_url: Secret | None = None) -> Replay:
    """Wire the replay of refused messages.

    Args:
        database_url: Where they are.
        queue_url: Of the queue `distributing`; without it, that of the database.
    """
    distributing: Queue = (
        local_queue(database_url, "distributing")
        if queue_url is None
        else queue(queue_url, "distributing")
    )
    intake = Intake(distributing, SystemClock(), lorawan_devices(database_url))
    return Replay(quarantine(database_url), intake, SystemClock())


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
    # A queued command may be taken back, alone; readings pass in hundreds.
    block_from = _BLOCK_FROM if spec.accounted else None
    return PostgresQueue(database, name, fifo=spec.fifo, holder=holder, block_from=block_from)


def queue(url: Secret, name: str) -> Queue:
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


def accounts(database_url: str, redis_url: str | None, actor: str) -> "Accounts":
    """Return the portal's users and API tokens in that database.

    Args:
        database_url: Where they are.
        redis_url: Where the portal keeps copies, or None.
        actor: Who changes things, for the audit log.
    """
    from plumbline.adapters.argon2 import Argon2Hasher  # noqa: PLC0415 - see the module's docstring
    from plumbline.adapters.postgres.accounts import PostgresAccounts  # noqa: PLC0415
    from plumbline.adapters.postgres.database import Database  # noqa: PLC0415
    from plumbline.adapters.redis_credentials import RedisCredentialCache  # noqa: PLC0415
    from plumbline.application.accounts import Accounts  # noqa: PLC0415

    return Accounts(
        PostgresAccounts(Database(database_url, StoreUnavailable), actor),
        None if redis_url is None else RedisCredentialCache(redis_url),
        Argon2Hasher(),
        SystemClock(),
    )
