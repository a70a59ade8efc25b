"""What it costs to take a backlog out of the broker: the ingest session, and what it replaces."""

import select
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import MQTTErrorCode

from benchmarks import references
from benchmarks.broker_residue import fresh_broker, ingest, make_server
from benchmarks.publisher import publish_backlog
from plumbline.adapters.mqtt.configuration import INGEST_USER
from plumbline.adapters.mqtt.drain import MqttBroker

_BATCH = 1000
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Drained:
    """Of one client: medians of three rounds.

    Attributes:
        name: The client.
        rate: Readings a second, until the last acknowledgement is sent.
        cpu_us: Of the client's process for each reading, microseconds.
    """

    name: str
    rate: float
    cpu_us: float


def measure(readings: int) -> list[Drained]:
    """Drain a backlog with each client, from the broker as `plumbline up` runs it."""
    with fresh_broker("off", make_server) as (server, passwords):
        broker, url = ingest(server), server.user_url(INGEST_USER)
        clients: list[tuple[str, Callable[[], float]]] = [
            ("the ingest session", lambda: _take(broker, readings)),
            ("paho, acknowledged by hand", lambda: _take_with_paho(url, readings)),
            ("a raw reader", lambda: references.raw_drain(url, readings, _BATCH)),
        ]
        rounds: dict[str, list[tuple[float, float]]] = {name: [] for name, _ in clients}
        for _ in range(_ROUNDS):
            for name, take in clients:
                publish_backlog(server.host, server.port, passwords, readings)
                cpu = time.process_time()
                seconds = take()
                cpu_s = time.process_time() - cpu
                rounds[name].append((readings / seconds, cpu_s / readings * 1e6))
        return [
            Drained(name, *map(statistics.median, zip(*found, strict=True)))
            for name, found in rounds.items()
        ]


def _take(broker: MqttBroker, readings: int) -> float:
    with broker.open(broker.addresses()[0]) as session:
        started = time.perf_counter()
        while readings:
            batch = session.receive(min(_BATCH, readings), linger_s=5, quiet_s=5)
            session.acknowledge(batch)
            readings -= len(batch)
        return time.perf_counter() - started


def _take_with_paho(broker_url: str, readings: int) -> float:
    """The fastest way found with paho: packet by packet, and a wait only where there is none."""
    client = references.connect(broker_url, manual_ack=True)
    waiting: list[MQTTMessage] = []
    client.on_message = lambda _client, _userdata, message: waiting.append(message)
    poll = select.poll()
    poll.register(client.socket(), select.POLLIN)  # type: ignore[arg-type] # connected
    started = time.perf_counter()
    while readings:
        before = len(waiting)
        if client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            msg = "the broker closed the connection"
            raise ConnectionError(msg)
        if len(waiting) == min(_BATCH, readings):
            for message in waiting:
                client.ack(message.mid, message.qos)
            while client.want_write():
                client.loop_write()
            readings -= len(waiting)
            waiting.clear()
        elif len(waiting) == before:
            poll.poll(1000)
    seconds = time.perf_counter() - started
    references.disconnect(client)
    return seconds
