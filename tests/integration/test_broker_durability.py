"""What the broker still has after a restart, a reload and a crash."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from draining import TELEMETRY, create_session, numbered, payloads, take
from mqtt_device import MqttDevice, Refused
from plumbline.adapters.mqtt.configuration import INGEST_USER
from plumbline.adapters.mqtt.drain import MqttBroker

if TYPE_CHECKING:
    from conftest import Broker

TOPIC = "tilt/d1/telemetry"
READY_S = 20.0
# Mosquitto saves every two seconds; a save under way when it is killed does not count.
LOSS_BOUND_S = 3.0


@pytest.fixture
def password(mosquitto: "Broker") -> str:
    """Return the device's password."""
    return mosquitto.add_devices("d1")["d1"]


@pytest.fixture
def broker(mosquitto: "Broker") -> MqttBroker:
    """Return the drain's side of a fresh broker whose session exists."""
    broker = MqttBroker(mosquitto.user_url(INGEST_USER), TELEMETRY)
    create_session(broker)
    return broker


def publish(mosquitto: "Broker", password: str, sent: list[bytes], *, qos: int = 1) -> None:
    """Publish all, acknowledged."""
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        device.publish_many(TOPIC, sent, qos=qos)


def start(mosquitto: "Broker") -> None:
    """Start the stopped broker."""
    mosquitto.server.start()
    mosquitto.server.wait_ready(READY_S)


def test_a_restart_keeps_the_queue_and_the_session(
    mosquitto: "Broker", broker: MqttBroker, password: str
) -> None:
    publish(mosquitto, password, numbered(2000))
    publish(mosquitto, password, numbered(100, start=2000), qos=0)
    mosquitto.server.stop()
    start(mosquitto)
    publish(mosquitto, password, numbered(100, start=2100))

    with broker.open(broker.addresses()[0]) as session:
        assert session.session_present
    assert payloads(take(broker)) == numbered(2200)


def test_a_restart_keeps_what_was_handed_over_and_not_acknowledged(
    mosquitto: "Broker", broker: MqttBroker, password: str
) -> None:
    publish(mosquitto, password, numbered(100))
    with broker.open(broker.addresses()[0]) as session:
        session.acknowledge(session.receive(100, linger_s=5, quiet_s=1)[:30])
    mosquitto.server.stop()
    start(mosquitto)
    assert payloads(take(broker)) == numbered(100)[30:]


def test_a_reload_while_the_drain_is_away_loses_nothing(
    mosquitto: "Broker", broker: MqttBroker, password: str
) -> None:
    reload_and_wait(mosquitto)
    publish(mosquitto, password, numbered(100))
    assert payloads(take(broker)) == numbered(100)


def test_a_reload_after_a_restart_loses_nothing_once_the_session_was_opened(
    mosquitto: "Broker", broker: MqttBroker, password: str
) -> None:
    """Without the opening, the broker drops everything until the next: see ``reload``."""
    mosquitto.server.stop()
    start(mosquitto)
    create_session(broker)
    reload_and_wait(mosquitto)
    publish(mosquitto, password, numbered(100))
    assert payloads(take(broker)) == numbered(100)


def test_a_killed_broker_loses_the_last_seconds_at_most(
    mosquitto: "Broker", broker: MqttBroker, password: str
) -> None:
    """Acknowledged to the device, not yet saved: the stated residue of a crash of the broker."""
    state = mosquitto.server.directory / "state" / "mosquitto.db"
    wait_for(lambda: state.exists() and state.stat().st_size > 150)
    acknowledged_at: list[float] = []
    stop = threading.Event()

    def stream() -> None:
        with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
            while not stop.is_set():
                sent = numbered(20, start=len(acknowledged_at))
                acknowledged = device.publish_many(TOPIC, sent)
                acknowledged_at.extend([time.monotonic()] * acknowledged)
                if acknowledged < len(sent):
                    return
                stop.wait(0.002)

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        assert not stop.wait(random.uniform(4.0, 6.0))
        killed_at = time.monotonic()
        mosquitto.server.kill()
    finally:
        stop.set()
        thread.join()
    start(mosquitto)

    with broker.open(broker.addresses()[0]) as session:
        assert session.session_present
    kept = {int(payload) for payload in payloads(take(broker))}
    lost = set(range(len(acknowledged_at))) - kept
    oldest_s = max((killed_at - acknowledged_at[number] for number in lost), default=0.0)
    measured = f"{len(lost)} of {len(acknowledged_at)} lost, the oldest {oldest_s:.2f} s before"
    logging.getLogger(__name__).info(measured)
    assert len(kept) > 1000
    assert mosquitto.server.log_path is not None
    assert "Saving" not in mosquitto.server.log_path.read_text("utf-8")  # a line at each save
    assert oldest_s < LOSS_BOUND_S


def reload_and_wait(mosquitto: "Broker") -> None:
    """Make the broker read its files again, and wait until it has: until a new device connects."""
    password = mosquitto.add_devices("new")["new"]

    def connects() -> bool:
        try:
            MqttDevice((mosquitto.host, mosquitto.port), "new", password).close()
        except Refused:
            return False
        return True

    wait_for(connects)


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
