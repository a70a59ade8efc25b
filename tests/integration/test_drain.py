"""The ingest session at a real broker: nothing is lost, stalled or delivered twice."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from draining import TELEMETRY, create_session, numbered, payloads, take
from fakes import FakeClock
from mqtt_device import MqttDevice
from plumbline.adapters.mqtt.configuration import INGEST_USER
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.errors import BrokerUnavailable
from plumbline.local.servers.mosquitto import MosquittoServer

if TYPE_CHECKING:
    from conftest import Broker

TOPIC = "tilt/d1/telemetry"


@pytest.fixture
def broker(mosquitto: "Broker") -> MqttBroker:
    """Return the drain's side of a fresh broker whose session exists."""
    broker = MqttBroker(mosquitto.user_url(INGEST_USER), TELEMETRY)
    create_session(broker)
    return broker


@pytest.fixture
def device(mosquitto: "Broker") -> Iterator[MqttDevice]:
    """Yield a connected device."""
    password = mosquitto.add_devices("d1")["d1"]
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        yield device


def test_first_opening_creates_the_session_and_later_ones_find_it(
    mosquitto: "Broker",
) -> None:
    broker = MqttBroker(mosquitto.user_url(INGEST_USER), TELEMETRY)
    (address,) = broker.addresses()
    with broker.open(address) as session:
        assert not session.session_present
    with broker.open(address) as session:
        assert session.session_present


def test_a_message_is_received_when_the_clock_says(mosquitto: "Broker", device: MqttDevice) -> None:
    clock = FakeClock()
    broker = MqttBroker(mosquitto.user_url(INGEST_USER), TELEMETRY, clock=clock)
    create_session(broker)
    device.publish(TOPIC, b"{}")
    [message] = take(broker)
    assert message.received_at == clock.now()


def test_everything_published_while_the_drain_was_away_comes_once_and_in_order(
    broker: MqttBroker, device: MqttDevice
) -> None:
    """Mosquitto's default keeps 1,000 messages and drops the rest, acknowledged."""
    sent = numbered(5000)
    assert device.publish_many(TOPIC, sent) == 5000

    assert payloads(take(broker)) == sent
    assert take(broker) == []


def test_qos_0_waits_for_an_absent_drain_and_is_acknowledged_as_any_other(
    broker: MqttBroker, device: MqttDevice
) -> None:
    sent = numbered(200)
    device.publish_many(TOPIC, sent, qos=0)

    messages = take(broker)
    assert payloads(messages) == sent
    assert all(message.packet_id for message in messages)


def test_qos_0_survives_a_run_that_ends_in_the_middle(
    broker: MqttBroker, device: MqttDevice
) -> None:
    """What the broker had already put on the connection comes again with the next one."""
    sent = numbered(2000)
    (address,) = broker.addresses()
    with broker.open(address) as session:
        device.publish_many(TOPIC, sent, qos=0)
        first = session.receive(500, linger_s=5, quiet_s=1)
        session.acknowledge(first)

    assert payloads(first + take(broker)) == sent


def test_a_run_that_ends_in_the_middle_of_a_backlog_leaves_no_duplicates(
    broker: MqttBroker, device: MqttDevice
) -> None:
    """The broker has read the acknowledgements before the connection ends."""
    sent = numbered(5000)
    device.publish_many(TOPIC, sent)
    taken = []
    for _ in range(4):
        with broker.open(broker.addresses()[0]) as session:
            batch = session.receive(1000, linger_s=5, quiet_s=1)
            session.acknowledge(batch)
            taken += batch

    assert payloads(taken + take(broker)) == sent


def test_a_batch_larger_than_mosquittos_default_window_comes_without_a_pause(
    broker: MqttBroker, device: MqttDevice
) -> None:
    """20 unacknowledged messages are the default; then nothing more would come."""
    device.publish_many(TOPIC, numbered(3000))
    with broker.open(broker.addresses()[0]) as session:
        batch = session.receive(3000, linger_s=20, quiet_s=1)
        assert len(batch) == 3000
        session.acknowledge(batch)


def test_what_was_not_acknowledged_comes_again_all_of_it_and_in_order(
    broker: MqttBroker, device: MqttDevice
) -> None:
    sent = numbered(1500)
    device.publish_many(TOPIC, sent)
    with broker.open(broker.addresses()[0]) as session:
        batch = session.receive(1000, linger_s=5, quiet_s=1)
        session.acknowledge(batch[:400])

    assert payloads(take(broker)) == sent[400:]


def test_what_a_held_message_left_unacknowledged_comes_again_before_newer_ones(
    broker: MqttBroker, device: MqttDevice
) -> None:
    device.publish_many(TOPIC, numbered(10))
    with broker.open(broker.addresses()[0]) as session:
        batch = session.receive(10, linger_s=5, quiet_s=1)
        session.acknowledge([message for message in batch if message.payload not in (b"3", b"7")])
    device.publish_many(TOPIC, numbered(2, start=10))

    assert payloads(take(broker)) == [b"3", b"7", b"10", b"11"]


def test_a_reading_published_between_two_drains_of_an_empty_broker_comes(
    broker: MqttBroker, device: MqttDevice
) -> None:
    assert take(broker) == []
    device.publish(TOPIC, b"1")
    assert payloads(take(broker)) == [b"1"]


def test_a_retained_reading_comes_once_over_three_drains(
    broker: MqttBroker, device: MqttDevice
) -> None:
    device.publish(TOPIC, b"1", retain=True)
    assert payloads(take(broker) + take(broker) + take(broker)) == [b"1"]


def test_what_was_retained_before_the_session_existed_comes_with_it(mosquitto: "Broker") -> None:
    names = [f"d{number}" for number in range(5)]
    for name, password in mosquitto.add_devices(*names).items():
        with MqttDevice((mosquitto.host, mosquitto.port), name, password) as device:
            device.publish(f"tilt/{name}/telemetry", name.encode(), retain=True)
    broker = MqttBroker(mosquitto.user_url(INGEST_USER), TELEMETRY)
    assert sorted(payloads(take(broker, batch_size=2))) == [name.encode() for name in names]


def test_a_new_filter_takes_effect_at_the_next_start(
    mosquitto: "Broker", broker: MqttBroker, device: MqttDevice
) -> None:
    """The session is there, but not the subscription; so the first opening subscribes anyway."""
    device.publish("tilt/d1/commands/ack", b"before")
    assert take(broker) == []

    restarted = MqttBroker(mosquitto.user_url(INGEST_USER), [*TELEMETRY, "tilt/+/commands/ack"])
    create_session(restarted)
    device.publish("tilt/d1/commands/ack", b"after")
    assert payloads(take(restarted)) == [b"after"]


def test_receiving_ends_when_nothing_came_for_the_quiet_time(
    broker: MqttBroker, device: MqttDevice
) -> None:
    device.publish(TOPIC, b"1")
    with broker.open(broker.addresses()[0]) as session:
        started = time.monotonic()
        batch = session.receive(1000, linger_s=30, quiet_s=0.2)
        assert payloads(batch) == [b"1"]
        assert 0.2 <= time.monotonic() - started < 5
        session.acknowledge(batch)


@pytest.mark.timeout(30)  # it would never end
def test_receiving_ends_after_the_linger_time_however_much_comes(
    broker: MqttBroker, device: MqttDevice
) -> None:
    done = threading.Event()

    def trickle() -> None:
        while not done.wait(0.02):
            device.publish(TOPIC, b"1")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        with broker.open(broker.addresses()[0]) as session:
            started = time.monotonic()
            batch = session.receive(100_000, linger_s=0.5, quiet_s=0.4)
            assert 0.5 <= time.monotonic() - started < 5
            assert batch
            session.acknowledge(batch)
    finally:
        done.set()
        thread.join()


def test_a_batch_ends_at_16_mib_and_the_rest_follows(
    broker: MqttBroker, device: MqttDevice
) -> None:
    device.publish_many(TOPIC, [bytes([number]) * 2_000_000 for number in range(12)])
    with broker.open(broker.addresses()[0]) as session:
        first = session.receive(1000, linger_s=20, quiet_s=1)
        assert 8 <= len(first) < 12
        second = session.receive(1000, linger_s=20, quiet_s=1)
        session.acknowledge(first + second)
    assert [message.payload[0] for message in first + second] == list(range(12))


def test_the_second_of_two_sessions_takes_over_and_the_first_says_so(
    broker: MqttBroker, device: MqttDevice
) -> None:
    """The same client id twice: an error for the first, its messages for the second."""
    device.publish_many(TOPIC, numbered(10))
    (address,) = broker.addresses()
    with broker.open(address) as first:
        batch = first.receive(10, linger_s=5, quiet_s=1)
        with broker.open(address) as second:
            with pytest.raises(BrokerUnavailable, match="closed the connection"):
                first.receive(10, linger_s=5, quiet_s=5)
            with pytest.raises(BrokerUnavailable, match="closed the connection"):
                first.acknowledge(batch)
            again = second.receive(10, linger_s=5, quiet_s=1)
            second.acknowledge(again)
    assert payloads(again) == payloads(batch) == numbered(10)
    assert take(broker) == []


def test_a_killed_broker_is_an_error_of_the_session_and_of_the_next_opening(
    mosquitto: "Broker", broker: MqttBroker
) -> None:
    (address,) = broker.addresses()
    with broker.open(address) as session:
        mosquitto.server.kill()
        with pytest.raises(BrokerUnavailable, match="closed the connection"):
            session.receive(10, linger_s=5, quiet_s=5)
    with pytest.raises(BrokerUnavailable, match=f"broker {address}: Connection refused"):
        broker.open(address)


def test_wrong_credentials_are_named_without_the_password(mosquitto: "Broker") -> None:
    url = f"mqtt://{INGEST_USER}:wrong-secret@{mosquitto.host}:{mosquitto.port}"
    broker = MqttBroker(url, TELEMETRY)
    with pytest.raises(BrokerUnavailable, match="refused the connection: Not authorized") as caught:
        broker.open(broker.addresses()[0])
    assert "wrong-secret" not in str(caught.value)


def test_a_listener_that_never_answers_is_an_error_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = MqttBroker(f"mqtt://u:p@127.0.0.1:{silent.getsockname()[1]}", TELEMETRY)
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="does not answer"):
            broker.open(broker.addresses()[0])
        assert time.monotonic() - started < 8


def test_every_address_of_the_endpoint_is_drained(
    mosquitto: "Broker", server_dir: Path, request: pytest.FixtureRequest
) -> None:
    """Two broker tasks behind one name share nothing."""
    data_dir = server_dir / f"{request.node.name}"
    (data_dir / "secrets").mkdir(parents=True)
    for path in (mosquitto.server.data_dir / "secrets").glob("mosquitto-*"):
        (data_dir / "secrets" / path.name).write_text(path.read_text("ascii"), "ascii")
    other = MosquittoServer(data_dir, mosquitto.port, plain_host="127.0.0.2")
    other.start()
    try:
        other.wait_ready(10)
        url = mosquitto.user_url(INGEST_USER).replace(mosquitto.host, "brokers.test")
        broker = MqttBroker(
            url, TELEMETRY, resolve=lambda _host, _port: ["127.0.0.2", mosquitto.host, "127.0.0.2"]
        )
        assert broker.addresses() == [f"127.0.0.{n}:{mosquitto.port}" for n in (1, 2)]
        create_session(broker)
        for task in (mosquitto, replace(mosquitto, server=other)):
            password = task.add_devices("d1")["d1"]
            with MqttDevice((task.host, task.port), "d1", password) as device:
                device.publish(TOPIC, task.host.encode())
        assert payloads(take(broker)) == [b"127.0.0.1", b"127.0.0.2"]
    finally:
        other.stop()


def test_an_idle_cycle_is_cheap(broker: MqttBroker) -> None:
    """It happens every second; 3 ms of CPU are 0.3 % of a core."""
    (address,) = broker.addresses()
    cycles = 50
    started = time.process_time()
    for _ in range(cycles):
        with broker.open(address) as session:
            assert session.receive(1000, linger_s=0.5, quiet_s=0.001) == []
    assert (time.process_time() - started) / cycles < 0.003
