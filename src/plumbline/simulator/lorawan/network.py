"""A simulated network server: one connection for all its devices, and their downlinks."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plumbline.simulator.config import Endpoint
from plumbline.simulator.connection import DeviceConnection
from plumbline.simulator.lorawan.chirpstack import Message
from plumbline.simulator.lorawan.radio import Downlink
from plumbline.simulator.lorawan.sender import Sender
from plumbline.simulator.plan import Publication

_SESSION_EXPIRY_S = 86_400


class Publisher(Protocol):
    """What a network server speaks through."""

    async def publish(self, publication: Publication) -> None:
        """Send a message as soon as that is possible."""
        ...


class ServerConnection(DeviceConnection):
    """The connection of a network server: it listens, too, and its session outlives it.

    Args:
        username: Of the network server; also the client id.
        password: Its.
        endpoint: The broker.
        on_outcome: Called with each publication and its PUBACK's reason code.
        filters: What to subscribe to.
        on_message: Called with topic and payload.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - those of every connection, and two more
        self,
        username: str,
        password: str,
        endpoint: Endpoint,
        on_outcome: Callable[[Publication, int], None],
        filters: Sequence[str],
        on_message: Callable[[str, bytes], None],
    ) -> None:
        self._filters = filters
        self._take = on_message
        super().__init__(username, password, endpoint, on_outcome)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's
        properties.SessionExpiryInterval = _SESSION_EXPIRY_S
        self._connect_options = {"clean_start": False, "properties": properties}
        self._client.on_message = self._on_message

    def _on_connect(
        self,
        client: Client,
        userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        super()._on_connect(client, userdata, flags, reason, properties)
        if not reason.is_failure:
            client.subscribe([(topic, 1) for topic in self._filters])
            self._write_rest()

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._take(message.topic, bytes(message.payload))
        self._write_rest()  # the acknowledgement


class SimulatedServer:
    """Queues downlinks, and transmits each after its device's next uplink.

    Args:
        lost: Fraction of the downlinks that their device does not hear.
        on_executed: Called when a device has done what a downlink says.
    """

    def __init__(self, lost: float, on_executed: Callable[[Sender, Downlink], None]) -> None:
        self._by_topic: dict[str, Sender] = {}
        self._lost = lost
        self._on_executed = on_executed
        self._outbox: deque[Publication] = deque()
        self._saying = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.connection: Publisher | None = None

    def add(self, sender: Sender) -> None:
        """Add a device."""
        self._by_topic |= dict.fromkeys(sender.server.command_topics, sender)

    async def start(self, sender: Sender, at_ms: int) -> None:
        """Switch a device on: it joins and says so."""
        self._outbox.extend(sender.start(at_ms))
        await self._say()

    def take(self, topic: str, payload: bytes) -> None:
        """Take a command from the broker."""
        sender = self._by_topic.get(topic)
        if sender is None:
            return
        downlinks, replace = sender.server.read_command(topic, payload)
        if replace:
            sender.queue.clear()
        for downlink in downlinks:
            known = {one.identity: one for one in sender.queue}
            if sender.pending is not None:
                known[sender.pending[0].identity] = sender.pending[0]
            if sender.server.accepts(downlink, known):
                sender.queue.append(downlink)
                self._put(sender, sender.server.queued(downlink))
            else:
                self._put(sender, sender.server.failed(downlink))
        task = asyncio.get_running_loop().create_task(self._say())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def after_uplink(self, sender: Sender, at_ms: int) -> None:
        """Do what a network server does in the device's receive windows."""
        if sender.pending is not None:
            downlink, heard = sender.pending
            sender.pending = None
            self._put(sender, sender.server.acknowledged(downlink, heard=heard))
            if not heard and sender.server.tries_again():
                sender.queue.appendleft(downlink)
        while sender.queue:
            downlink = sender.queue.popleft()
            if downlink.expires_at is not None and downlink.expires_at <= datetime.now(UTC):
                self._put(sender, sender.server.expired(downlink))
                continue
            self._transmit(sender, downlink, at_ms)
            break
        await self._say()

    def _transmit(self, sender: Sender, downlink: Downlink, at_ms: int) -> None:
        gateway_id = sender.transmit(downlink)
        self._put(sender, sender.server.sent(downlink, gateway_id))
        heard = not sender.loses(downlink, self._lost)
        if downlink.confirmed:
            sender.pending = (downlink, heard)
        if heard and sender.hear(downlink):
            self._on_executed(sender, downlink)
            if sender.restarts_by(downlink):
                sender.pending = None  # it cannot acknowledge what it heard before
                self._outbox.extend(sender.start(at_ms + 1))

    def _put(self, sender: Sender, messages: Iterable[Message]) -> None:
        for topic, payload in messages:
            self._outbox.append(
                Publication(sender.device.device_id, topic, payload, witnessed=False)
            )

    async def _say(self) -> None:
        """Publish what is to be said, in order."""
        async with self._saying:
            while self._outbox and self.connection is not None:
                await self.connection.publish(self._outbox.popleft())
