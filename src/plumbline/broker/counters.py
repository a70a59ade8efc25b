"""The broker's own counters, as plumbline-monitor sees them."""

import time
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from plumbline.adapters.mqtt.configuration import MONITOR_USER

_LOOPBACK = "127.0.0.1"
_TOPICS = "$SYS/broker/#"
_PULSE = "$SYS/broker/uptime"


class Counters:
    """Subscribes to ``$SYS`` in a thread of its own and keeps the newest values.

    Args:
        port: Of the plain listener on the loopback.
        password: Of plumbline-monitor.
    """

    def __init__(self, port: int, password: str) -> None:
        self.heard_at_s: float | None = None
        """Monotonic time of the newest message from the broker."""
        self.updated_at_s: float | None = None
        """Monotonic time of its newest report, which it makes every five seconds."""
        self._values: dict[str, str] = {}
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=MONITOR_USER,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        self._client.username, self._client.password = MONITOR_USER, password
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 5)
        self._client.connect_async(_LOOPBACK, port, keepalive=30)
        self._client.loop_start()

    def value(self, name: str) -> float | None:
        """Return the newest value of ``$SYS/broker/name``; None before the first."""
        text = self._values.get(f"$SYS/broker/{name}")
        return None if text is None else float(text)

    def queued(self) -> int | None:
        """Return how many messages wait for a client or its acknowledgement; None if unknown.

        One that waits for several is one. Retained messages, among them the counters themselves,
        are not counted, even while they wait.
        """
        stored = self.value("store/messages/count")
        retained = self.value("retained messages/count")
        return None if stored is None or retained is None else max(0, int(stored - retained))

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:  # noqa: ANN401 - paho's signature
        client.subscribe(_TOPICS)

    def _on_message(
        self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage
    ) -> None:
        self._values[message.topic] = message.payload.decode("utf-8", "replace")
        self.heard_at_s = time.monotonic()
        if message.topic == _PULSE and not message.retain:
            self.updated_at_s = self.heard_at_s
