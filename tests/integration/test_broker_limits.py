"""What the broker refuses, drops or logs, and where that can be seen."""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from draining import TELEMETRY, create_session, numbered, payloads, take
from mqtt_device import MqttDevice
from plumbline.adapters.mqtt.configuration import INGEST_USER, MONITOR_USER, BrokerOptions
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.mqtt.endpoint import Endpoint
from plumbline.local.servers.mosquitto import MosquittoServer

if TYPE_CHECKING:
    from conftest import Broker

TOPIC = "tilt/d1/telemetry"
DROPPED = "$SYS/broker/publish/messages/dropped"
# The broker publishes its counters every five seconds.
COUNTERS_S = 8.0

MakeBroker = Callable[[BrokerOptions], "Broker"]
_numbers = itertools.count(1)


@pytest.fixture
def make_broker(mosquitto: "Broker", server_dir: Path) -> Iterator[MakeBroker]:
    """Return what starts another broker, with options of its own."""
    started: list[MosquittoServer] = []

    def make(options: BrokerOptions) -> "Broker":
        server = MosquittoServer(server_dir / f"limits-{next(_numbers)}", options=options)
        started.append(server)
        server.start()
        server.wait_ready(10)
        return replace(mosquitto, server=server)

    yield make
    for server in started:
        server.stop()


def connect(broker: "Broker", device_id: str) -> MqttDevice:
    """Register a device and connect as it."""
    password = broker.add_devices(device_id)[device_id]
    return MqttDevice((broker.host, broker.port), device_id, password)


def ingest(broker: "Broker") -> MqttBroker:
    """Return the drain's side, its session created."""
    drain = MqttBroker(broker.user_url(INGEST_USER), TELEMETRY)
    create_session(drain)
    return drain


def test_a_message_too_large_is_not_acknowledged(mosquitto: "Broker") -> None:
    """What is acknowledged is kept, so the connection ends instead."""
    drain = ingest(mosquitto)
    with connect(mosquitto, "d1") as device:
        device.publish(TOPIC, b"x" * 2_000_000)
        with pytest.raises(ConnectionError):
            device.publish(TOPIC, b"x" * 2_200_000)
    assert [len(message.payload) for message in take(drain)] == [2_000_000]


def test_what_exceeds_the_queue_is_dropped_and_counted(make_broker: MakeBroker) -> None:
    """Acknowledged and dropped: the monitor's counter is the one sign of it."""
    broker = make_broker(BrokerOptions(max_queued_bytes=10_000))
    drain = ingest(broker)
    with connect(broker, "d1") as device:
        assert device.publish_many(TOPIC, [b"x" * 1000] * 15) == 15
    assert len(take(drain)) == 10

    secret = Endpoint.parse(broker.user_url(MONITOR_USER)).password
    with MqttDevice((broker.host, broker.port), MONITOR_USER, secret) as monitor:
        monitor.subscribe(DROPPED)
        deadline = time.monotonic() + COUNTERS_S
        while (counted := monitor.messages(1)) != [(DROPPED, b"5")]:
            assert time.monotonic() < deadline, counted


def test_a_refused_publication_is_a_line_of_the_log(make_broker: MakeBroker) -> None:
    """No counter of the broker's shows it, and the device cannot tell."""
    broker = make_broker(BrokerOptions(log_messages=True))
    for _ in range(3):
        with connect(broker, "d1") as device:
            device.publish("tilt/d2/telemetry", b"secret payload")
    log = log_of(broker)
    assert log.count("Denied PUBLISH from d1") == 3
    assert "secret payload" not in log


def test_the_log_has_a_line_for_a_connection_only_where_it_should(
    mosquitto: "Broker", make_broker: MakeBroker
) -> None:
    """The drain connects every second."""
    loud = make_broker(BrokerOptions(log_connections=True))
    for broker in (mosquitto, loud):
        drain = ingest(broker)
        with connect(broker, "d1") as device:
            device.publish_many(TOPIC, numbered(10))
        assert payloads(take(drain)) == numbered(10)
    assert "d1" not in log_of(mosquitto)
    assert INGEST_USER not in log_of(mosquitto)
    lines = log_of(loud).splitlines()
    assert any("as d1" in line for line in lines)
    assert not any(TOPIC in line for line in lines)
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: ", line) for line in lines)


def log_of(broker: "Broker") -> str:
    """Return the broker's log."""
    path = broker.server.log_path
    assert path is not None
    return path.read_text("utf-8")
