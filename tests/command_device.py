"""A device that is told things: MQTT 5, and the properties of what it receives."""

import json
import queue
import time
from dataclasses import dataclass, field
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

_TIMEOUT_S = 20.0


@dataclass(slots=True)
class Told:
    """One message that the device received."""

    payload: bytes
    retained: bool
    expiry_s: int | None
    response_topic: str | None
    correlation: bytes | None
    at: float = field(default_factory=time.time)

    @property
    def command_id(self) -> str:
        found: str = json.loads(self.payload)["command_id"]
        return found


class CommandDevice:
    """A connection with a session that outlives it; a context manager.

    Args:
        address: Of the broker.
        device_id: Also the user name.
        password: Of the device.
        acknowledge: Answer each command that was not seen before, as the contract says.
    """

    def __init__(
        self, address: tuple[str, int], device_id: str, password: str, *, acknowledge: bool = False
    ) -> None:
        self.device_id = device_id
        self.told: queue.Queue[Told] = queue.Queue()
        self.executed: list[str] = []
        self._acknowledge = acknowledge
        self._ready: queue.Queue[None] = queue.Queue()
        self._client = Client(
            CallbackAPIVersion.VERSION2, device_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.username_pw_set(device_id, password)
        self._client.on_message = self._on_message
        self._client.on_connect = lambda *_: self._subscribe()
        self._client.on_subscribe = lambda *_: self._ready.put(None)
        self._client.reconnect_delay_set(1, 1)
        self._address = address

    def __enter__(self) -> Self:
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's has no types
        session.SessionExpiryInterval = 0xFFFFFFFF  # never, see docs/how-to/connect-a-device.md
        self._client.connect(*self._address, clean_start=False, properties=session)
        self._client.loop_start()
        self._ready.get(timeout=_TIMEOUT_S)
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def next(self, timeout_s: float = _TIMEOUT_S) -> Told:
        """Return the next message."""
        return self.told.get(timeout=timeout_s)

    def is_quiet(self, for_s: float = 0.5) -> bool:
        """Tell whether nothing comes for a while."""
        try:
            self.told.get(timeout=for_s)
        except queue.Empty:
            return True
        return False

    def all(self) -> list[Told]:
        """Return what has come and was not looked at."""
        return [self.told.get_nowait() for _ in range(self.told.qsize())]

    def _subscribe(self) -> None:
        self._client.subscribe(f"tilt/{self.device_id}/commands", qos=1)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        properties: Any = message.properties
        told = Told(
            bytes(message.payload),
            message.retain,
            getattr(properties, "MessageExpiryInterval", None),
            getattr(properties, "ResponseTopic", None),
            getattr(properties, "CorrelationData", None),
        )
        self.told.put(told)
        if not self._acknowledge:
            return
        if told.command_id not in self.executed:
            self.executed.append(told.command_id)
        answer = {"command_id": told.command_id, "status": "acknowledged", "detail": ""}
        self._client.publish(f"tilt/{self.device_id}/commands/ack", json.dumps(answer), qos=1)
