"""What the use cases need from the outside: Protocols, and the values that cross them.

The values of which there is one a message are msgspec's: it makes them several times as fast as
frozen dataclasses.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, Self
from uuid import UUID

import msgspec

from plumbline.domain.account import ApiToken, Role, Scope, User
from plumbline.domain.command_event import CommandEvent
from plumbline.domain.delivery import DeliveredEvent, DeliveredReading, Receipt, Refusal
from plumbline.domain.device import Device, Lorawan
from plumbline.domain.ledger import LedgerAccount


class Clock(Protocol):
    """Wall-clock time."""

    def now(self) -> datetime:
        """Return the current time, aware UTC."""
        ...


# --- broker ---------------------------------------------------------------------------------


class BrokerMessage(msgspec.Struct, frozen=True):
    """One MQTT message that the broker handed over and that waits for its acknowledgement.

    Attributes:
        topic: As published; bytes that are not UTF-8 are impossible in MQTT.
        payload: Raw bytes.
        packet_id: Of this connection; 0 for QoS 0, which needs no acknowledgement.
        received_at: When it reached us, aware UTC.
    """

    topic: str
    payload: bytes
    packet_id: int
    received_at: datetime


class BrokerSession(Protocol):
    """The ingest session at one broker task; a context manager that disconnects at the end."""

    address: str
    session_present: bool
    """False where the broker did not know our session: its queue was lost or never existed."""

    def receive(self, max_messages: int, *, linger_s: float, quiet_s: float) -> list[BrokerMessage]:
        """Return up to ``max_messages`` in the order of receipt.

        Returns early when nothing has come for ``quiet_s``, and after ``linger_s`` at the latest.

        Raises:
            BrokerUnavailable: The connection broke; unacknowledged messages come again.
        """
        ...

    def acknowledge(self, messages: Sequence[BrokerMessage]) -> None:
        """Acknowledge the messages, in the given order, and flush.

        Raises:
            BrokerUnavailable: The connection broke; what was not acknowledged comes again.
        """
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...


class Broker(Protocol):
    """All broker tasks that the endpoint resolves to."""

    def addresses(self, also: Sequence[str] = ()) -> list[str]:
        """Resolve the endpoint.

        Args:
            also: IP addresses of tasks that the endpoint's name does not stand for any more.

        Raises:
            BrokerUnavailable: It does not resolve, and there are no others.
        """
        ...

    def open(self, address: str) -> BrokerSession:
        """Connect to one task with the persistent ingest session.

        Raises:
            BrokerUnavailable: Unreachable, refused, or not authorised.
        """
        ...


# --- queues ---------------------------------------------------------------------------------


class OutgoingMessage(msgspec.Struct, frozen=True):
    """A message to send. FIFO queues need ``group_id`` and ``deduplication_id``."""

    body: str
    attributes: Mapping[str, str] = msgspec.field(default_factory=dict)
    group_id: str | None = None
    deduplication_id: str | None = None


@dataclass(frozen=True, slots=True)
class SendFailure:
    """One message that the queue did not accept.

    Attributes:
        index: Position in the sent sequence.
        code: The service's code, ``Held`` for a message held back behind a failed one of its group.
        sender_fault: True where trying again cannot help.
    """

    index: int
    code: str
    detail: str
    sender_fault: bool


class QueueMessage(msgspec.Struct, frozen=True):
    """A received message; it comes again unless it is deleted before its visibility timeout."""

    message_id: str
    receipt_handle: str
    body: str
    attributes: Mapping[str, str]
    group_id: str | None
    deduplication_id: str | None
    sequence_number: str | None
    sent_at: datetime
    first_received_at: datetime
    receive_count: int


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Counts of one queue; approximate on SQS, exact on PostgreSQL.

    Attributes:
        visible: Messages that the next receive may bring.
        in_flight: Received and not deleted yet, or not to be received yet.
        oldest_age_s: Of the oldest message; None where there is none, or nobody tells.
    """

    visible: int
    in_flight: int
    oldest_age_s: float | None

    @property
    def total(self) -> int:
        """All that the queue holds."""
        return self.visible + self.in_flight


class Queue(Protocol):
    """One queue with SQS semantics.

    FIFO: messages of a group are delivered in the order of sending; while any of a group is in
    flight, no further one of that group is received. A deduplication id is remembered for five
    minutes, also after its message was deleted. A message received more than its maximum goes to
    the dead-letter queue.
    """

    name: str
    fifo: bool

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        """Send in order and return what was not accepted, after the adapter's own retries.

        On a FIFO queue, once a message failed, all later ones of its group are held back and
        returned as failures too. Any number of messages; the adapter splits into requests.

        Raises:
            QueueUnavailable: Nothing is known of any message; sending again with the same
                deduplication ids within five minutes is safe.
        """
        ...

    def receive(
        self, max_messages: int, *, wait_s: float = 0.0, visibility_s: float | None = None
    ) -> list[QueueMessage]:
        """Receive up to ``max_messages``, waiting up to ``wait_s`` for the first.

        Raises:
            QueueUnavailable: The service cannot be reached.
        """
        ...

    def delete(self, receipt_handles: Sequence[str]) -> list[str]:
        """Delete received messages; return the handles that have expired and deleted nothing.

        Raises:
            QueueUnavailable: The service cannot be reached.
        """
        ...

    def change_visibility(self, receipt_handles: Sequence[str], visibility_s: float) -> None:
        """Make received messages visible again after ``visibility_s`` from now (0: at once).

        Raises:
            QueueUnavailable: The service cannot be reached.
        """
        ...

    def depth(self) -> QueueDepth:
        """Return the queue's counts.

        Raises:
            QueueUnavailable: The service cannot be reached.
        """
        ...


class CountedQueue(Protocol):
    """A queue and its dead-letter queue, to somebody who only counts."""

    def depth(self) -> QueueDepth:
        """Return the queue's counts; see ``Queue.depth``."""
        ...

    def dead_letter_depth(self) -> QueueDepth:
        """Return the dead-letter queue's counts.

        Raises:
            QueueUnavailable: The service cannot be reached.
        """
        ...


class QueueAdmin(Protocol):
    """What an operator does with a dead-letter queue."""

    def peek(self, queue: str, limit: int) -> list[QueueMessage]:
        """Return messages without receiving them."""
        ...

    def redrive(self, dead_letter_queue: str, *, message_ids: Sequence[str] | None = None) -> int:
        """Move messages back to their source queue, in order; return how many."""
        ...

    def purge(self, dead_letter_queue: str, *, message_ids: Sequence[str] | None = None) -> int:
        """Delete messages for good and account for them as discarded; return how many."""
        ...


# --- store ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PersistBatch:
    """What one DB1 invocation persists in one transaction."""

    readings: Sequence[DeliveredReading] = ()
    refusals: Sequence[Refusal] = ()
    receipts: Sequence[Receipt] = ()
    events: Sequence[DeliveredEvent] = ()
    command_events: Sequence[CommandEvent] = ()


@dataclass(frozen=True, slots=True)
class PersistOutcome:
    """What became of a batch.

    Attributes:
        stored, duplicates, conflicts, quarantined: New outcomes of deliveries; events and answers
            to commands are among the stored and the duplicates.
        repeated: Deliveries that an earlier transaction had already accounted for.
        answers: Of the stored, how many are answers to commands.
        command_events: Events of commands that were new, these answers among them.
        rejected: Deliveries the database refuses, with the reason; nothing of them was stored.
    """

    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    quarantined: int = 0
    repeated: int = 0
    answers: int = 0
    command_events: int = 0
    rejected: Mapping[UUID, str] = field(default_factory=dict)


class ReadingStore(Protocol):
    """Where readings end."""

    def persist(self, batch: PersistBatch) -> PersistOutcome:
        """Store the batch and its ledger entries in one transaction.

        Idempotent by delivery id. Input order does not matter. A reading that the database
        refuses is isolated and reported; the others are stored.

        Raises:
            StoreUnavailable: Nothing of the batch is stored, or all of it (and a repetition
                finds that out).
        """
        ...


class Ledger(Protocol):
    """What came in, and what became of it."""

    def account(self, device_id: str | None = None) -> LedgerAccount:
        """Return the account of one device or of all.

        Raises:
            StoreUnavailable: The database cannot serve.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """A device's newest reading, as the cache shows it."""

    device_id: str
    current_status: str
    last_seen: datetime
    tilt_angle_deg: float
    battery_level_pct: int | None


@dataclass(frozen=True, slots=True)
class FleetStatistics:
    """Counts over all devices at one moment.

    Attributes:
        by_status: Number of devices by current status.
        readings_last_hour: Readings whose device time lies in the last hour.
        stalest_device_id, stalest_last_seen: The device silent for longest.
    """

    devices: int
    by_status: Mapping[str, int]
    readings_last_hour: int
    stalest_device_id: str | None
    stalest_last_seen: datetime | None


class StatusSource(Protocol):
    """The database side of the sync."""

    def device_statuses(self) -> Generator[Sequence[DeviceStatus], None, None]:
        """Yield the status of every device, in chunks, from one snapshot; to be closed."""
        ...

    def fleet_statistics(self, now: datetime) -> FleetStatistics:
        """Return the fleet's statistics at ``now``."""
        ...


class StatusCache(Protocol):
    """The cache side of the sync and of the portal."""

    def put_statuses(self, statuses: Sequence[DeviceStatus], synced_at: datetime) -> int:
        """Write ``device:{id}:status``, never over a newer ``last_seen``; return how many."""
        ...

    def put_statistics(self, statistics: FleetStatistics, synced_at: datetime) -> None:
        """Write ``stats:fleet``."""
        ...

    def get_status(self, device_id: str) -> Mapping[str, Any] | None:
        """Return the cached status, or None where there is none or it has expired."""
        ...

    def get_statistics(self) -> Mapping[str, Any] | None:
        """Return the cached statistics, or None."""
        ...


# --- runs -----------------------------------------------------------------------------------


class RunLock(Protocol):
    """Keeps two runs of one function from working at once."""

    def hold(self, function: str) -> AbstractContextManager[None]:
        """Hold the function's lock for a run.

        Raises:
            AlreadyRunning: Another run holds it.
        """
        ...


# --- device registry ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RegisteredDevice:
    """A device and its newest reading; None where it never sent one."""

    device: Device
    status: DeviceStatus | None


class DeviceRegistry(Protocol):
    """Where the devices and the hashes of their passwords are kept.

    Every method raises StoreUnavailable where the database cannot serve.
    """

    def add(self, devices: Mapping[str, str], name: str) -> list[str]:
        """Add MQTT devices by id with their password hash, all or none.

        Returns:
            The ids that exist already; then nothing was added.
        """
        ...

    def add_or_rotate(self, devices: Mapping[str, str]) -> list[str]:
        """Add MQTT devices by id with their password hash; those that exist get the new hash.

        Returns:
            The ids that are LoRaWAN devices; then nothing was changed.
        """
        ...

    def add_lorawan(
        self, devices: Mapping[str, Lorawan], name: str, *, replace: bool = False
    ) -> list[tuple[str, str | None]]:
        """Add LoRaWAN devices by id, all or none.

        Args:
            devices: No DevEUI twice.
            name: Of each.
            replace: LoRaWAN devices that exist get the new values, and keep their name.
        Returns:
            Devices that have an id or a DevEUI already that was to be added, as (id, DevEUI);
            then nothing was changed.
        """
        ...

    def rotate(self, device_id: str, password_hash: str) -> bool:
        """Replace the hash; False where there is no such device with a password."""
        ...

    def set_disabled(self, device_id: str, *, disabled: bool) -> bool:
        """Disable or enable; False where there is no such device."""
        ...

    def get(self, device_id: str) -> RegisteredDevice | None:
        """Return one device, or None."""
        ...

    def all(self) -> list[RegisteredDevice]:
        """Return every device, by id."""
        ...

    def password_hashes(self) -> Mapping[str, str]:
        """Return the hashes of the devices that may connect, by id."""
        ...


@dataclass(frozen=True, slots=True)
class LorawanDevice:
    """Whose an uplink is."""

    device_id: str
    lorawan: Lorawan
    disabled: bool


class LorawanDevices(Protocol):
    """The registry, as uplinks ask it."""

    def find(self, dev_euis: Collection[str]) -> Mapping[str, LorawanDevice]:
        """Return the registered devices among these, by DevEUI.

        Raises:
            StoreUnavailable: The registry cannot serve.
        """
        ...


class DeviceCredentials(Protocol):
    """The broker's knowledge of who may connect."""

    def hash_password(self, password: str) -> str:
        """Return what the broker needs to recognise the password."""
        ...

    def publish(self, current: Callable[[], Mapping[str, str]]) -> None:
        """Make the broker accept these devices with these hashes, and no others, from now on.

        Takes effect within two seconds; the connections of the others live on. ``current`` is
        called when no other publication is under way, so that the last one has the newest.
        """
        ...


# --- accounts -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Revoked:
    """SHA-256 of the session and API tokens whose standing has changed."""

    sessions: Sequence[bytes] = ()
    tokens: Sequence[bytes] = ()


class AccountRegistry(Protocol):
    """The portal's users and API tokens; every change leaves an entry in the audit log.

    Every method raises StoreUnavailable where the registry cannot serve.
    """

    def add_user(self, username: str, password_hash: str, role: Role) -> bool:
        """Add a user; False where the name is taken."""
        ...

    def users(self) -> Sequence[User]:
        """Return every user, by name."""
        ...

    def password_hash(self, username: str) -> str | None:
        """Return the hash of a user who may sign in, or None."""
        ...

    def set_password(self, username: str, password_hash: str) -> Revoked | None:
        """Replace the password and end the sessions; None where there is no such user."""
        ...

    def set_role(self, username: str, role: Role) -> Revoked | None:
        """Give the user another role and end the sessions; None where there is no such user.

        Returns:
            The sessions, and the API tokens that now act with that role; nothing where the user
            has it already.
        Raises:
            LastAdmin: Nobody would be left who is an admin and may sign in.
        """
        ...

    def disable(self, username: str) -> Revoked | None:
        """Let the user in no more; None where there is no such user.

        Raises:
            LastAdmin: See ``set_role``.
        """
        ...

    def enable(self, username: str) -> Revoked | None:
        """Let the user in again; returns the API tokens that work again, None for no user."""
        ...

    def add_token(
        self,
        username: str,
        name: str,
        token_hash: bytes,
        scopes: Sequence[Scope],
        expires_at: datetime,
    ) -> ApiToken | None:
        """Add an API token; None where there is no such user."""
        ...

    def tokens(self) -> Sequence[ApiToken]:
        """Return every API token, in the order of their making."""
        ...

    def revoke_token(self, token_id: int) -> Revoked | None:
        """Let the token in no more; None where there is none."""
        ...


class CredentialCache(Protocol):
    """Copies of live sessions and API tokens."""

    def revoke(self, revoked: Revoked) -> None:
        """Refuse them from now on, whatever the copies say.

        Raises:
            CacheUnavailable: The copies may stay for as long as they are trusted.
        """
        ...

    def forget(self, revoked: Revoked) -> None:
        """Let the next request look them up.

        Raises:
            CacheUnavailable: The copies may stay for as long as they are trusted.
        """
        ...


class PasswordHasher(Protocol):
    """A slow, salted hash."""

    def hash(self, password: str) -> str:
        """Return the hash, with its salt and parameters."""
        ...

    def verify(self, password_hash: str, password: str) -> bool:
        """Tell whether it is the hash of the password."""
        ...
