"""Mistakes that systems like this are known for, each to be put into the running system.

A harness that does not notice one of them proves nothing. Each is planted in the system's own
processes by ``proofs.chaos.inside``; the product knows nothing of them. Some need circumstances to
do harm, or faults of their own: the same circumstances without the mistake must pass.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from plumbline.adapters import redis as status_cache
from plumbline.adapters.mqtt.publisher import MqttPublisher
from plumbline.adapters.mqtt.session import MqttSession
from plumbline.adapters.postgres import command_outbox, persisting, reading_store
from plumbline.adapters.postgres.reading_columns import in_lock_order
from plumbline.adapters.postgres.statuses import PostgresStatuses
from plumbline.application.distribute import Distribute
from plumbline.application.intake import Intake
from plumbline.domain.delivery import DeliveredReading
from plumbline.domain.publication import Publication, Published
from plumbline.local.event_source import EventSourceThread
from plumbline.ports import (
    BrokerMessage,
    DeviceStatus,
    Queue,
    QueueMessage,
)
from plumbline.topology import TOPOLOGY
from proofs.chaos.plan import Fault, Kind
from proofs.nothing_fails import NothingFails


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Bug:
    """One mistake.

    Attributes:
        what: For people.
        plant: Makes this process make it.
        circumstances: In which it does harm; they are there with and without it.
        devices: How many publish.
        faults: Beside those of the plan.
        delay_s: Of a slow link, instead of the usual.
        in_order: Whether the circumstances leave the rows in the order of publishing.
    """

    what: str
    plant: Callable[[], None]
    circumstances: Callable[[], None] = _nothing
    devices: int = 200
    faults: tuple[Fault, ...] = ()
    delay_s: float | None = None
    in_order: bool = True


# --- from the broker to the queue -----------------------------------------------------------


def _automatic_acknowledgement() -> None:
    take, acknowledge = MqttSession._take, MqttSession.acknowledge  # noqa: SLF001 - planted into it

    def take_and_acknowledge(self: MqttSession, limit: int) -> list[BrokerMessage]:
        messages = take(self, limit)
        acknowledge(self, messages)
        return messages

    _replace(MqttSession, "_take", take_and_acknowledge)
    _replace(MqttSession, "acknowledge", _acknowledge_nothing)


def _acknowledge_before_enqueue() -> None:
    receive, acknowledge = MqttSession.receive, MqttSession.acknowledge

    def receive_and_acknowledge(
        self: MqttSession, max_messages: int, *, linger_s: float, quiet_s: float
    ) -> list[BrokerMessage]:
        messages = receive(self, max_messages, linger_s=linger_s, quiet_s=quiet_s)
        acknowledge(self, messages)
        return messages

    _replace(MqttSession, "receive", receive_and_acknowledge)
    _replace(MqttSession, "acknowledge", _acknowledge_nothing)


def _acknowledge_nothing(_self: MqttSession, _messages: Sequence[BrokerMessage]) -> None:
    pass


# --- the queues -----------------------------------------------------------------------------


def _ignored_failures() -> None:
    initialise = Intake.__init__

    def initialise_and_ignore(self: Intake, queue: Queue, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        initialise(self, NothingFails(queue), *args, **kwargs)

    _replace(Intake, "__init__", initialise_and_ignore)


def _ignored_failures_of_forwarding() -> None:
    initialise = Distribute.__init__

    def initialise_and_ignore(self: Distribute, queues: Mapping[str, Queue]) -> None:
        initialise(self, {name: NothingFails(queue) for name, queue in queues.items()})

    _replace(Distribute, "__init__", initialise_and_ignore)


def _ignored_item_failures() -> None:
    def invoke_and_ignore(
        self: EventSourceThread, messages: Sequence[QueueMessage]
    ) -> dict[str, Any] | None:
        response = invoke(self, messages)
        return None if response is None else {"batchItemFailures": []}

    invoke = EventSourceThread._invoke_until_available  # noqa: SLF001 - planted into it
    _replace(EventSourceThread, "_invoke_until_available", invoke_and_ignore)


def _short_visibility() -> None:
    for queue in TOPOLOGY.queues:
        object.__setattr__(queue, "local_visibility_timeout_s", 0.2)


# --- the database ---------------------------------------------------------------------------


def _naive_status() -> None:
    _rewrite(persisting._SQL, "upsert_statuses", "WHERE d.last_seen < excluded.last_seen", "")  # noqa: SLF001


def _several_slow_writers() -> None:
    # Between two rows that a statement locks, another statement has time to lock one.
    given = "%(battery_level)b::int[])"
    slow = f"{given} WHERE pg_sleep(0.002) IS NOT NULL"
    _rewrite(persisting._SQL, "upsert_statuses", given, slow)  # noqa: SLF001
    for source in TOPOLOGY.event_sources:
        if source.queue == "db1":
            object.__setattr__(source, "local_concurrency", 4)
            object.__setattr__(source, "local_batch_size", 25)


def _unsorted_upserts() -> None:
    def with_devices_in_any_order(
        delivered: Iterable[DeliveredReading],
    ) -> list[DeliveredReading]:
        place: defaultdict[str, float] = defaultdict(random.random)
        return sorted(in_order(delivered), key=lambda d: place[d.reading.device_id])

    in_order = in_lock_order
    _replace(reading_store, "in_lock_order", with_devices_in_any_order)


def _dropped_conflicts() -> None:
    def count_only(
        connection: psycopg.Connection[Any], rows: Sequence[DeliveredReading]
    ) -> list[DeliveredReading]:
        return note_as_duplicates(connection, rows)

    note_as_duplicates = persisting._insert_duplicates  # noqa: SLF001 - planted into it
    _replace(persisting, "_insert_conflicts", count_only)


# --- the cache ------------------------------------------------------------------------------


def _stale_cache() -> None:
    found = PostgresStatuses.device_statuses
    before: list[Sequence[DeviceStatus]] = []

    def of_the_last_run(self: PostgresStatuses) -> Generator[Sequence[DeviceStatus], None, None]:
        chunks = list(found(self))
        yield from before or chunks
        before[:] = chunks

    _replace(PostgresStatuses, "device_statuses", of_the_last_run)


def _held_up_sync() -> None:
    found = PostgresStatuses.device_statuses

    def held_up(self: PostgresStatuses) -> Generator[Sequence[DeviceStatus], None, None]:
        for chunk in found(self):
            time.sleep(3)
            yield chunk

    _replace(PostgresStatuses, "device_statuses", held_up)


def _cache_without_version() -> None:
    _replace(
        status_cache,
        "PUT_NEWER",
        "for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[2 * i + 1], 'EX', ARGV[1]) end "
        "return #KEYS",
    )


# --- commands -------------------------------------------------------------------------------


def _command_sent_twice() -> None:
    publish = MqttPublisher.publish

    def publish_twice(self: MqttPublisher, publications: Sequence[Publication]) -> list[Published]:
        publish(self, publications)
        return publish(self, publications)

    _replace(MqttPublisher, "publish", publish_twice)


def _newest_command_first() -> None:
    _rewrite(command_outbox._SQL, "due", "position = min(position)", "position = max(position)")  # noqa: SLF001


def _replace(where: object, name: str, what: object) -> None:
    assert hasattr(where, name)  # noqa: S101 - a mistake that is not planted would be noticed by none
    setattr(where, name, what)


def _rewrite(statements: dict[str, Any], name: str, old: str, new: str) -> None:
    assert old in statements[name]  # noqa: S101 - likewise
    statements[name] = statements[name].replace(old, new)


_REFUSALS = tuple(
    Fault(at, Kind.REFUSED, "queues", 2.0) for at in (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
)
_OUTAGES = tuple(
    Fault(at, Kind.KILL, part, 0.0)
    for at, part in ((0.3, "postgres"), (0.5, "ingestion"), (0.7, "postgres"), (0.9, "ingestion"))
)
# Long enough that a batch comes to its end meanwhile.
_SLOW = tuple(Fault(at, Kind.SLOW, "postgres", 9.0) for at in (0.05, 0.5))
_EMPTIED = tuple(Fault(n / 20, Kind.EMPTIED, "cache", 0.0) for n in range(1, 20))

# What a clock behind refuses is replayed at the end: readings older than what is stored.
_BEHIND = tuple(Fault(at, Kind.JUMP, "clock", 3.0, -3600.0) for at in (0.3, 0.6))

BUGS: Mapping[str, Bug] = {
    "automatic-acknowledgement": Bug(
        "the broker is told at once that a message has arrived",
        _automatic_acknowledgement,
        faults=_OUTAGES,
    ),
    "acknowledge-before-enqueue": Bug(
        "a batch is acknowledged before the queue has it",
        _acknowledge_before_enqueue,
        faults=_OUTAGES,
    ),
    "ignored-failures": Bug(
        "`Failed` entries of a batch are ignored", _ignored_failures, faults=_REFUSALS
    ),
    "ignored-failures-of-forwarding": Bug(
        "likewise on the way to the second queue",
        _ignored_failures_of_forwarding,
        faults=_REFUSALS,
    ),
    "ignored-item-failures": Bug(
        "what a function returns as failed is deleted all the same",
        _ignored_item_failures,
        faults=_REFUSALS,
    ),
    "short-visibility": Bug(
        "a visibility timeout shorter than the work", _short_visibility, faults=_SLOW, delay_s=0.15
    ),
    "naive-status": Bug("the last writer wins the device's status", _naive_status, faults=_BEHIND),
    "unsorted-upserts": Bug(
        "four writers lock their rows in any order",
        _unsorted_upserts,
        _several_slow_writers,
        devices=20,
        in_order=False,
    ),
    "dropped-conflicts": Bug("a second, different reading is dropped", _dropped_conflicts),
    "stale-cache": Bug("the sync writes what it read the last time", _stale_cache),
    "cache-without-version": Bug(
        "the sync writes older entries over newer ones",
        _cache_without_version,
        _held_up_sync,
        devices=20,  # so that the portal is asked for each of them again and again
        faults=_EMPTIED,
    ),
    "command-sent-twice": Bug("a command is published twice", _command_sent_twice),
    "newest-command-first": Bug(
        "of the commands that wait, the newest is sent first", _newest_command_first
    ),
}
