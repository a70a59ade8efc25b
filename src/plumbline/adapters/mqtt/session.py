"""One connection of the ingest session: persistent, and acknowledged by hand.

MQTT 3.1.1 with ``clean_session`` false: Mosquitto keeps such a session, and queues for it, for
ever; an MQTT 5 session lives only as long as its expiry says. Everything happens in the caller's
thread; there is no reconnection inside a session, so that no acknowledgement can be sent on
another connection than its message came on.
"""

import os
import select
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import NoReturn, Self

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plumbline.adapters.mqtt.endpoint import Endpoint
from plumbline.errors import BrokerUnavailable
from plumbline.ports import BrokerMessage, Clock

_CONNECT_TIMEOUT_S = 5.0
# The broker gives a silent client half as much again; a batch between two reads takes less.
_KEEPALIVE_S = 120
_WRITE_TIMEOUT_S = 10.0
# How long a closing session reads on, so that the broker has seen all that we sent.
_CLOSE_TIMEOUT_S = 1.0
# A batch also ends here: with the broker's limit of 2 MiB a message, 1,000 could fill the memory.
_MAX_BATCH_BYTES = 16 * 1024 * 1024


class MqttSession:
    """One connection with the persistent session; see ``ports.BrokerSession``.

    A message that is left unacknowledged keeps its packet id, and the broker gives ids out again
    after 65,535 messages: after a batch that was not acknowledged whole, close the session.
    """

    def __init__(
        self, address: str, ip: str, endpoint: Endpoint, client_id: str, clock: Clock
    ) -> None:
        self.address = address
        self._clock = clock
        self.session_present = False
        self._received: list[BrokerMessage] = []
        self._received_bytes = 0
        self._connected = False
        self._refusal: str | None = None
        self._topics: Sequence[str] = ()
        self._subscribed: Callable[[], None] | None = None
        self._poll = select.poll()
        self._client = self._make_client(client_id, endpoint)
        try:
            self._connect(ip, endpoint.port)
        except BrokerUnavailable:
            self.close()
            raise

    def subscribe(self, topics: Sequence[str], *, done: Callable[[], None]) -> None:
        """Subscribe to the filters with QoS 1.

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
        self._check(self._client.subscribe([(topic, 1) for topic in topics])[0])
        deadline = monotonic() + _CONNECT_TIMEOUT_S
        while not self.session_present and self._subscribed is not None:
            self._step(deadline)

    def receive(self, max_messages: int, *, linger_s: float, quiet_s: float) -> list[BrokerMessage]:
        """Return up to ``max_messages`` in the order of receipt; QoS 0 has packet id 0.

        Returns early when nothing has come for ``quiet_s``, when 16 MiB have come, and after
        ``linger_s`` at the latest. What is not returned waits in the broker, or for the next call.

        Raises:
            BrokerUnavailable: The connection broke; unacknowledged messages come again.
        """
        deadline = monotonic() + linger_s
        while not self._fill(max_messages):
            remaining_s = min(quiet_s, deadline - monotonic())
            if remaining_s <= 0 or not self._wait(select.POLLIN, remaining_s):
                break
        batch = self._received[:max_messages]
        self._received = self._received[max_messages:]
        self._received_bytes = sum(len(message.payload) for message in self._received)
        return batch

    def acknowledge(self, messages: Sequence[BrokerMessage]) -> None:
        """Acknowledge the messages, in the given order, and flush.

        Raises:
            BrokerUnavailable: The connection broke; what was not acknowledged comes again.
        """
        for message in messages:
            if message.packet_id:
                self._check(self._client.ack(message.packet_id, 1))
        while self._client.want_write():
            if not self._wait(select.POLLOUT, _WRITE_TIMEOUT_S):
                self._fail("takes no acknowledgements")
            self._check(self._client.loop_write())

    def close(self) -> None:
        """Disconnect, and wait until the broker has closed the connection."""
        connection = self._client.socket()
        if connection is None:
            return
        # Closing a socket that holds unread data resets the connection, and the broker then drops
        # acknowledgements that it has not read yet. So a second descriptor reads on to the end.
        with socket.socket(fileno=os.dup(connection.fileno())) as tail:
            self._client.disconnect()
            if self._connected:
                _read_to_end(tail)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _make_client(self, client_id: str, endpoint: Endpoint) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.username = endpoint.username
        client.password = endpoint.password
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        if endpoint.tls is not None:
            client.tls_set_context(endpoint.tls)
        return client

    def _connect(self, ip: str, port: int) -> None:
        deadline = monotonic() + _CONNECT_TIMEOUT_S
        try:
            self._check(self._client.connect(ip, port, keepalive=_KEEPALIVE_S))
        except ssl.SSLCertVerificationError as error:
            self._fail(f"its certificate: {error.verify_message}", error)
        except ssl.SSLError as error:
            self._fail(f"no TLS: {error.reason or error}", error)
        except OSError as error:
            self._fail(error.strerror or str(error), error)
        while not self._connected:
            self._step(deadline)

    def _step(self, deadline: float) -> None:
        if not self._wait(select.POLLIN, max(0.0, deadline - monotonic())):
            self._fail("does not answer")
        self._check(self._client.loop_read())

    def _fill(self, wanted: int) -> bool:
        """Read what has arrived; tell whether the batch is full."""
        while len(self._received) < wanted and self._received_bytes < _MAX_BATCH_BYTES:
            before = len(self._received)
            self._check(self._client.loop_read())  # one packet
            if len(self._received) == before:
                return False
        return True

    def _wait(self, event: int, timeout_s: float) -> bool:
        """Wait until the socket is ready; False when the time is up."""
        self._check(self._client.loop_misc())  # keep-alive
        connection = self._client.socket()
        if connection is None:
            self._fail("closed the connection")
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True  # already decrypted, which the descriptor does not show
        self._poll.register(connection, event)
        return bool(self._poll.poll(timeout_s * 1000))

    def _check(self, code: MQTTErrorCode) -> None:
        if self._refusal is not None:
            self._fail(self._refusal)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            # 3.1.1 has no word for it: the broker stopped, or another client took the session.
            self._fail("closed the connection")

    def _fail(self, reason: str, cause: Exception | None = None) -> NoReturn:
        msg = f"broker {self.address}: {reason}"
        raise BrokerUnavailable(msg) from cause

    def _on_connect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        flags: mqtt.ConnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self._refusal = f"refused the connection: {code}"
        self.session_present = flags.session_present
        self._connected = True

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _mid: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        refused = [t for t, code in zip(self._topics, codes, strict=True) if code.is_failure]
        if refused:
            self._refusal = f"refused the subscription to {', '.join(refused)}"
        elif self._subscribed is not None:
            self._subscribed()
            self._subscribed = None

    def _on_message(
        self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage
    ) -> None:
        payload = bytes(message.payload)  # already bytes, so no copy
        self._received_bytes += len(payload)
        self._received.append(BrokerMessage(message.topic, payload, message.mid, self._clock.now()))


def _read_to_end(connection: socket.socket) -> None:
    deadline = monotonic() + _CLOSE_TIMEOUT_S
    # The session is over either way: what the broker has not seen by now comes again.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while (remaining_s := deadline - monotonic()) > 0:
            connection.settimeout(remaining_s)
            if not connection.recv(1 << 20):
                return
