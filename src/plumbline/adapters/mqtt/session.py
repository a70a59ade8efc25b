"""One connection of the ingest session: persistent, and acknowledged by hand.

MQTT 3.1.1 with ``clean_session`` false: Mosquitto keeps such a session, and queues for it, for
ever; an MQTT 5 session lives only as long as its expiry says. Everything happens in the caller's
thread; there is no reconnection inside a session, so that no acknowledgement can be sent on
another connection than its message came on.
"""

import select
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import NoReturn, Self

from plumbline.adapters.mqtt.endpoint import Endpoint
from plumbline.adapters.mqtt.packets import (
    DISCONNECT,
    PINGREQ,
    PacketReader,
    ProtocolError,
    Suback,
    encode_connect,
    encode_pubacks,
    encode_subscribe,
)
from plumbline.errors import BrokerUnavailable
from plumbline.ports import BrokerMessage, Clock

# A batch also ends here: with the broker's limit of 2 MiB a message, 1,000 could fill the memory.
_MAX_BATCH_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_TLS_RECORD_BYTES = 16 * 1024
_SUBSCRIBE_ID = 1
_ALL = 1 << 30


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a session waits for the broker.

    Attributes:
        connect_s: For the connection, TLS and CONNACK together, and for SUBACK.
        write_s: While it takes nothing of what is sent.
        keepalive_s: Before a session that waits sends a sign of life, and for the answer. The
            broker ends a connection that is silent for half as long again; a batch between two
            reads takes less.
        close_s: At the end, so that it has read all that was sent.
    """

    connect_s: float = 5.0
    write_s: float = 10.0
    keepalive_s: int = 120
    close_s: float = 1.0


_TIMEOUTS = Timeouts()


class MqttSession:
    """One connection with the persistent session; see ``ports.BrokerSession``.

    A message that is left unacknowledged keeps its packet id, and the broker gives ids out again
    after 65,535 messages: after a batch that was not acknowledged whole, close the session. After
    an error every call but ``close`` raises it again.

    Args:
        address: For messages.
        ip: Of the broker task.
        endpoint: Whose port, user and TLS it has.
        client_id: Of the session.
        timeouts: How long to wait for the broker.

    Raises:
        BrokerUnavailable: Unreachable, refused, or not the host that its certificate should name.
    """

    def __init__(  # noqa: PLR0913 - one connection's whole world
        self,
        address: str,
        ip: str,
        endpoint: Endpoint,
        client_id: str,
        *,
        clock: Clock,
        timeouts: Timeouts = _TIMEOUTS,
    ) -> None:
        self.address = address
        self._clock = clock
        self.session_present = False
        self._timeouts = timeouts
        self._failure: str | None = None
        self._reader = PacketReader()
        self._received: list[BrokerMessage] = []
        self._received_at = clock.now()
        self._topics: Sequence[str] = ()
        self._subscribed: Callable[[], None] | None = None
        self._poll = select.poll()
        self._accepted = False
        self._amid_packet = False
        self._pinged = False
        self._end: OSError | None = None
        self._sent_at = self._heard_at = monotonic()
        connect = encode_connect(
            client_id, endpoint.username, endpoint.password, keepalive_s=timeouts.keepalive_s
        )
        deadline = self._sent_at + timeouts.connect_s
        self._socket: socket.socket | None = self._connect(ip, endpoint, deadline)
        # A TLS socket gives one record at most.
        self._read_bytes = _CHUNK_BYTES if endpoint.tls is None else _TLS_RECORD_BYTES
        try:
            self._introduce(connect, deadline)
        except BrokerUnavailable:
            self.close()
            raise

    def subscribe(self, topics: Sequence[str], *, done: Callable[[], None]) -> None:
        """Subscribe to the filters with QoS 1; once a session.

        Where the session is new, waits for the broker's word, so that from here on nothing
        published is lost. Where it is not, the word may come behind thousands of queued messages;
        a refusal then shows at a later call.

        Args:
            topics: Filters.
            done: Called when the broker has granted all of them.

        Raises:
            BrokerUnavailable: Refused, or the connection broke.
        """
        self._topics = topics
        self._subscribed = done
        self._write(encode_subscribe(_SUBSCRIBE_ID, topics), "takes no subscription")
        deadline = monotonic() + self._timeouts.connect_s
        while not self.session_present and self._subscribed is not None:
            self._read_until(deadline)
            self._received += self._take(_ALL)

    def receive(self, max_messages: int, *, linger_s: float, quiet_s: float) -> list[BrokerMessage]:
        """Return up to ``max_messages`` in the order of receipt; QoS 0 has packet id 0.

        Returns early when nothing has come for ``quiet_s``, when 16 MiB have come, and after
        ``linger_s`` at the latest. What is not returned waits in the broker, or for the next call.

        Raises:
            BrokerUnavailable: The connection broke; unacknowledged messages come again.
        """
        self._open_socket()
        deadline = monotonic() + linger_s
        batch = self._received
        last_byte = self._reader.taken_bytes + _MAX_BATCH_BYTES
        batch += self._take(max_messages - len(batch))
        while len(batch) < max_messages and self._reader.taken_bytes < last_byte:
            if self._read():
                batch += self._take(max_messages - len(batch))
                continue
            remaining_s = min(quiet_s, deadline - monotonic())
            if remaining_s <= 0 or not self._wait_for_more(remaining_s):
                break
        self._received = batch[max_messages:]
        return batch[:max_messages]

    def acknowledge(self, messages: Sequence[BrokerMessage]) -> None:
        """Acknowledge the messages, in the given order, and flush.

        Raises:
            BrokerUnavailable: The connection broke; what was not acknowledged comes again.
        """
        packet_ids = [message.packet_id for message in messages if message.packet_id]
        if packet_ids:
            self._write(encode_pubacks(packet_ids), "takes no acknowledgements")

    def close(self) -> None:
        """Disconnect, and wait until the broker has closed the connection."""
        connection, self._socket = self._socket, None
        if connection is None:
            return
        # Behind the first bytes of a PUBACK, DISCONNECT would be read as the rest of it: of a
        # packet id that nobody acknowledged.
        if self._accepted and not self._amid_packet:
            with suppress(OSError):
                connection.send(DISCONNECT)
        # Closing a socket that holds unread data resets the connection, and the broker then drops
        # acknowledgements that it has not read yet. So it is read to the end, below TLS.
        with socket.socket(fileno=connection.detach()) as tail:
            if self._accepted:
                _read_to_end(tail, self._timeouts.close_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _connect(self, ip: str, endpoint: Endpoint, deadline: float) -> socket.socket:
        try:
            connection = socket.create_connection((ip, endpoint.port), self._timeouts.connect_s)
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if endpoint.tls is not None:
                    connection.settimeout(max(0.001, deadline - monotonic()))
                    connection = endpoint.tls.wrap_socket(connection, server_hostname=endpoint.host)
                connection.settimeout(0)
            except BaseException:
                connection.close()
                raise
        except ssl.SSLCertVerificationError as error:
            self._fail(f"its certificate: {error.verify_message}", error)
        except ssl.SSLError as error:
            self._fail(f"no TLS: {error.reason or error}", error)
        except OSError as error:
            self._fail(error.strerror or str(error), error)
        return connection

    def _introduce(self, connect: bytes, deadline: float) -> None:
        self._write(connect, "does not answer")
        while True:
            self._read_until(deadline)
            try:
                connack = self._reader.take_connack()
            except ProtocolError as error:
                self._fail(str(error), error)
            if connack is not None:
                break
        if connack.refusal is not None:
            self._fail(f"refused the connection: {connack.refusal}")
        self.session_present = connack.session_present
        self._accepted = True

    def _take(self, limit: int) -> list[BrokerMessage]:
        try:
            messages = self._reader.take(limit, self._received_at)
        except ProtocolError as error:
            self._fail(str(error), error)
        while self._reader.subacks:
            self._note(self._reader.subacks.pop(0))
        return messages

    def _note(self, suback: Suback) -> None:
        if (
            self._subscribed is None
            or suback.packet_id != _SUBSCRIBE_ID
            or len(suback.granted) != len(self._topics)
        ):
            self._fail("it sent a SUBACK to another question")
        pairs = zip(self._topics, suback.granted, strict=True)
        refused = [topic for topic, granted in pairs if not granted]
        if refused:
            self._fail(f"refused the subscription to {', '.join(refused)}")
        self._subscribed()
        self._subscribed = None

    def _read(self) -> bool:
        """Read what has arrived, up to 256 KiB; False where nothing has."""
        connection = self._open_socket()
        left = _CHUNK_BYTES
        try:
            while left > 0 and (data := connection.recv(self._read_bytes)):
                self._reader.feed(data)
                left -= len(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if left == _CHUNK_BYTES:
                return False
        except OSError as error:
            self._end = error
        if left == _CHUNK_BYTES:
            # 3.1.1 has no word for it: the broker stopped, or another client took the session.
            # What came before the end was read first, for it may say why.
            self._fail("closed the connection", self._end)
        self._received_at = self._clock.now()
        self._heard_at = monotonic()
        self._pinged = False
        return True

    def _read_until(self, deadline: float) -> None:
        while not self._read():
            if not self._wait(select.POLLIN, deadline - monotonic()):
                self._fail("does not answer")

    def _wait_for_more(self, timeout_s: float) -> bool:
        """Wait until something arrives, and keep the connection alive; False: the time is up."""
        until = monotonic() + timeout_s
        while (now := monotonic()) < until:
            ping_at = min(self._sent_at, self._heard_at) + self._timeouts.keepalive_s
            if now >= ping_at:
                if self._pinged:
                    self._fail("does not answer")
                self._write(PINGREQ, "does not answer")
                self._pinged = True
                self._heard_at = now
            elif self._wait(select.POLLIN, min(until, ping_at) - now):
                return True
        return False

    def _write(self, data: bytes, failure: str) -> None:
        connection = self._open_socket()
        rest = memoryview(data)
        self._amid_packet = True
        while rest:
            try:
                rest = rest[connection.send(rest) :]
                continue
            except (BlockingIOError, ssl.SSLWantWriteError):
                event = select.POLLOUT
            except ssl.SSLWantReadError:
                event = select.POLLIN
            except OSError as error:
                self._fail("closed the connection", error)
            if not self._wait(event, self._timeouts.write_s):
                self._fail(failure)
        self._amid_packet = False
        self._sent_at = monotonic()

    def _wait(self, event: int, timeout_s: float) -> bool:
        """Wait until the socket is ready; False when the time is up."""
        self._poll.register(self._open_socket(), event)
        return bool(self._poll.poll(max(0.0, timeout_s) * 1000))

    def _open_socket(self) -> socket.socket:
        if self._failure is not None:
            self._fail(self._failure)
        if self._socket is None:
            self._fail("the session is closed")
        return self._socket

    def _fail(self, reason: str, cause: Exception | None = None) -> NoReturn:
        self._failure = reason
        msg = f"broker {self.address}: {reason}"
        raise BrokerUnavailable(msg) from cause


def _read_to_end(connection: socket.socket, timeout_s: float) -> None:
    deadline = monotonic() + timeout_s
    # The session is over either way: what the broker has not seen by now comes again.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while (remaining_s := deadline - monotonic()) > 0:
            connection.settimeout(remaining_s)
            if not connection.recv(1 << 20):
                return
