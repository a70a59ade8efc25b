"""Connections that listen, too, and what is to be said because of what was heard."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plumbline.simulator.config import Endpoint
from plumbline.simulator.connection import DeviceConnection
from plumbline.simulator.plan import Publication

_SESSION_EXPIRY_S = 86_400


class ListeningConnection(DeviceConnection):
    """The connection of a device or network server that listens; its session outlives it.

    Args:
        username: Of the device or network server; also the client id.
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


class Outbox:
    """What is to be said, in order.

    Args:
        publish: Sends a message as soon as that is possible.
    """

    def __init__(self, publish: Callable[[Publication], Awaitable[None]]) -> None:
        self._publish = publish
        self._waiting: deque[Publication] = deque()
        self._saying = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, publications: Iterable[Publication]) -> None:
        """Add what is to be said."""
        self._waiting.extend(publications)

    async def say(self) -> None:
        """Publish all of it."""
        async with self._saying:
            while self._waiting:
                await self._publish(self._waiting.popleft())

    def say_soon(self) -> None:
        """Publish all of it, without waiting for that."""
        task = asyncio.get_running_loop().create_task(self.say())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
