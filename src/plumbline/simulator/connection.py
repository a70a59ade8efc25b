"""One device's MQTT connection: publishes at QoS 1, reconnects, sends again what is unacknowledged.

paho's client is driven by the event loop directly. A witness needs the reason code of each PUBACK,
to tell a refusal from an acceptance, and must be able to lose the connection without a goodbye;
aiomqtt, which sits on the same client, passes on neither.
"""

import asyncio
import contextlib
import random
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plumbline.errors import BrokerUnavailable, ConfigurationError
from plumbline.simulator.config import Endpoint
from plumbline.simulator.plan import Publication
from plumbline.simulator.puback import CREDENTIALS_REFUSED

WINDOW = 20
"""Unacknowledged messages a device; no broker's receive maximum is smaller by default."""

CONNACK_TIMEOUT_S = 10.0
TCP_TIMEOUT_S = 5.0
_SHORTEST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0


class DeviceConnection:
    """The connection of one device, or of several behind it; used from one event loop.

    Args:
        device_id: Also the user name and the client id.
        password: The device's.
        endpoint: The broker.
        on_outcome: Called with each publication and its PUBACK's reason code.
    """

    def __init__(
        self,
        device_id: str,
        password: str,
        endpoint: Endpoint,
        on_outcome: Callable[[Publication, int], None],
    ) -> None:
        self.device_id = device_id
        self.connections = 0
        """How many times it has connected."""
        self._endpoint = endpoint
        self._on_outcome = on_outcome
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, Publication] = {}
        self._published = 0
        self._connected = False
        self._closing = False
        self._changed = asyncio.Event()
        self._connack: asyncio.Future[int] | None = None
        self._socket: socket.socket | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._connect_options: dict[str, Any] = {}
        self._client = self._make_client(password)

    async def connect(self, timeout_s: float) -> None:
        """Connect for the first time; from then on the connection comes back by itself, always.

        Raises:
            BrokerUnavailable: Not within that time.
            ConfigurationError: The broker refused the credentials all that time.
        """
        deadline = self._loop.time() + timeout_s
        wait_s = _SHORTEST_WAIT_S
        while True:
            problem = await self._attempt()
            if problem is None:
                return
            if self._loop.time() + wait_s > deadline:
                raise problem
            await asyncio.sleep(wait_s)
            wait_s = min(2.0 * wait_s, _LONGEST_WAIT_S)

    async def publish(self, publication: Publication) -> None:
        """Send a message, as soon as there is a connection and room in the window.

        Returns before the acknowledgement. Messages are sent in the order of the calls; after a
        lost connection, the unacknowledged ones are sent again first, in their order.
        """
        while not self._connected or len(self._pending) >= WINDOW:
            await self._change()
        publication.number = self._published
        publication.connection = self.connections
        publication.attempts = 1
        publication.published_at = time.time()
        self._published += 1
        sent = self._client.publish(publication.topic, publication.payload, qos=1)
        self._pending[sent.mid] = publication
        self._write_rest()

    async def drained(self) -> None:
        """Return when everything is acknowledged."""
        while self._pending:
            await self._change()

    def cut(self) -> None:
        """Lose the connection as a device that loses its network does: without a DISCONNECT."""
        if self._socket is not None:
            with contextlib.suppress(OSError):  # lost already, and nobody has noticed yet
                self._socket.shutdown(socket.SHUT_RDWR)

    def keep_alive(self) -> None:
        """Do what is due by the clock: pings, and giving up a dead connection."""
        if self._connected:
            self._client.loop_misc()

    def unacknowledged(self) -> list[Publication]:
        """Return what was published and has no acknowledgement, in order."""
        return list(self._pending.values())

    async def close(self) -> None:
        """Disconnect in order, if connected."""
        self._closing = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        if self._connected:
            self._client.disconnect()
            self._client.loop_write()
        self._abandon_socket()

    def _make_client(self, password: str) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.device_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.username_pw_set(self.device_id, password)
        client.connect_timeout = TCP_TIMEOUT_S
        if self._endpoint.tls is not None:
            client.tls_set_context(self._endpoint.tls)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = self._on_socket_close
        return client

    async def _attempt(self) -> BrokerUnavailable | ConfigurationError | None:
        """Try once to connect; return why not."""
        self._connack = self._loop.create_future()
        endpoint = self._endpoint
        where = f"{endpoint.host}:{endpoint.port}"
        try:
            # In a thread: it resolves the name, connects and shakes hands while it blocks.
            await asyncio.to_thread(
                self._client.connect,
                endpoint.host,
                endpoint.port,
                endpoint.keep_alive_s,
                **self._connect_options,
            )
            self._watch_socket()
            code = await asyncio.wait_for(self._connack, CONNACK_TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            self._abandon_socket()
            return BrokerUnavailable(f"{where}: {str(error) or 'no answer to CONNECT'}")
        if code in CREDENTIALS_REFUSED:
            return ConfigurationError(f"credentials: the broker refuses {self.device_id}")
        return BrokerUnavailable(f"{where}: CONNECT refused, code {code}") if code else None

    async def _reconnect(self) -> None:
        """Connect again, however long it takes; devices come back at different moments."""
        longest_s = _SHORTEST_WAIT_S
        while not self._connected:
            await asyncio.sleep(longest_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            longest_s = min(2.0 * longest_s, _LONGEST_WAIT_S)
            await self._attempt()

    # --- the event loop's side of paho ------------------------------------------------------

    def _watch_socket(self) -> None:
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            return  # refused and closed already
        self._socket = sock
        self._loop.add_reader(sock, self._on_readable)
        self._write_rest()

    def _unwatch_socket(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = None

    def _abandon_socket(self) -> None:
        """Close what paho holds open, so that it need not do so in another thread."""
        self._connected = False
        sock = self._socket
        self._unwatch_socket()
        if sock is not None:
            sock.close()

    def _on_readable(self) -> None:
        self._client.loop_read()
        while (
            self._socket is not None and self._endpoint.tls is not None and _decrypted(self._socket)
        ):
            self._client.loop_read()
        self._write_rest()

    def _on_writable(self) -> None:
        self._client.loop_write()
        if self._socket is not None and not self._client.want_write():
            self._loop.remove_writer(self._socket)

    def _write_rest(self) -> None:
        """Write later what the socket did not take at once."""
        if self._socket is not None and self._client.want_write():
            self._loop.add_writer(self._socket, self._on_writable)

    # --- paho's callbacks -------------------------------------------------------------------

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if not reason.is_failure:
            self._connected = True
            self.connections += 1
            # paho sends them again now, in their order.
            for publication in self._pending.values():
                publication.attempts += 1
                publication.connection = self.connections
        if self._connack is not None and not self._connack.done():
            self._connack.set_result(reason.value if reason.is_failure else 0)
        self._notify()

    def _on_publish(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        publication = self._pending.pop(mid)
        self._on_outcome(publication, reason.value)
        self._notify()

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        was_connected, self._connected = self._connected, False
        if self._connack is not None and not self._connack.done():
            self._connack.set_exception(ConnectionError("closed before CONNACK"))
        running = self._reconnecting is not None and not self._reconnecting.done()
        if was_connected and not self._closing and not running:
            self._reconnecting = self._loop.create_task(self._reconnect())

    def _on_socket_close(self, _client: Client, _userdata: object, _socket: object) -> None:
        # Before paho closes it: then its descriptor can be another connection's.
        self._unwatch_socket()

    def _notify(self) -> None:
        self._changed.set()  # wakes all that wait now
        self._changed.clear()

    async def _change(self) -> None:
        """Wait for a connection or an acknowledgement."""
        await self._changed.wait()


def _decrypted(sock: socket.socket) -> bool:
    """Tell whether TLS holds bytes that no longer make the socket readable."""
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
