"""A broker that keeps what it has acknowledged, and whose connections break."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Self

from plumbline.domain.publication import Publication
from plumbline.errors import BrokerUnavailable
from plumbline.ports import BrokerMessage, Clock
from proofs.simulation.faults import Faults

_ADDRESSES = ("task-a", "task-b")


class Kept(NamedTuple):
    """A message that waits for whoever it is for, and until when."""

    publication: Publication
    until: datetime | None


class SimulatedBroker:
    """Two tasks, each with the messages that the ingest session has not acknowledged."""

    def __init__(self, clock: Clock, faults: Faults) -> None:
        self.queued: dict[str, list[tuple[int, str, bytes]]] = {a: [] for a in _ADDRESSES}
        self._inboxes: dict[str, dict[str, list[Kept]]] = {a: {} for a in _ADDRESSES}
        self._clock = clock
        self._faults = faults
        self._packet_id = 0

    def subscribe(self, address: str, to: str) -> None:
        """Begin a session that gets what is published for a device or network server."""
        self._inboxes[address].setdefault(to, [])

    def take(self, address: str, to: str, now: datetime) -> list[Publication]:
        """Return what the session has waiting and nobody wants expired, in order."""
        if address in self._faults.away:
            return []
        waiting = self._inboxes[address][to]
        self._inboxes[address][to] = []
        return [kept.publication for kept in waiting if kept.until is None or now < kept.until]

    def hand_out(self, address: str, to: str, publication: Publication, now: datetime) -> bool:
        """Keep a message for its session; False where there is none."""
        inbox = self._inboxes[address].get(to)
        if inbox is None:
            return False
        life_s = publication.expires_in_s
        until = None if life_s is None else now + timedelta(seconds=life_s)
        inbox.append(Kept(publication, until))
        return True

    def publish(self, address: str, topic: str, payload: bytes) -> bool:
        """Take a message with QoS 1; False where its sender hears no acknowledgement."""
        if address in self._faults.away or self._faults.strikes("a publication does not arrive"):
            return False
        self._packet_id += 1
        self.queued[address].append((self._packet_id, topic, payload))
        return not self._faults.strikes("an acknowledgement does not arrive")

    def addresses(self, also: Sequence[str] = ()) -> list[str]:
        """Return the tasks."""
        del also
        return list(_ADDRESSES)

    def open(self, address: str) -> "SimulatedSession":
        """Open the ingest session; see ports.Broker."""
        if address in self._faults.away or self._faults.strikes("the broker takes no connection"):
            raise BrokerUnavailable(address)
        return SimulatedSession(address, self.queued[address], self._clock, self._faults)


class SimulatedSession:
    """One connection; what it leaves unacknowledged is handed over again, first and in order."""

    session_present = True

    def __init__(
        self,
        address: str,
        queued: list[tuple[int, str, bytes]],
        clock: Clock,
        faults: Faults,
    ) -> None:
        self.address = address
        self._queued = queued
        self._clock = clock
        self._faults = faults
        self._handed_over = 0

    def receive(self, max_messages: int, *, linger_s: float, quiet_s: float) -> list[BrokerMessage]:
        """Return what waits; see ports.BrokerSession."""
        del linger_s, quiet_s
        self._may_break("while receiving")
        received_at = self._clock.now()
        batch = [m for m in self._queued if m[0] > self._handed_over][:max_messages]
        if batch:
            self._handed_over = batch[-1][0]
        return [
            BrokerMessage(topic, payload, packet_id, received_at)
            for packet_id, topic, payload in batch
        ]

    def acknowledge(self, messages: Sequence[BrokerMessage]) -> None:
        """Forget them; a connection that breaks has acknowledged some."""
        self._faults.may_kill("before acknowledging")
        identities = [message.packet_id for message in messages]
        breaks = self._faults.strikes("the connection breaks while acknowledging")
        if breaks:
            identities = identities[: self._faults.rng.randrange(len(identities) + 1)]
        gone = set(identities)
        self._queued[:] = [message for message in self._queued if message[0] not in gone]
        if breaks:
            raise BrokerUnavailable(self.address)
        self._faults.may_kill("after acknowledging")

    def _may_break(self, when: str) -> None:
        if self.address in self._faults.away or self._faults.strikes(
            f"the connection breaks {when}"
        ):
            raise BrokerUnavailable(self.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """The end of a connection needs nothing."""
