"""Publishing to real brokers: expiry, nobody there, lost connections, several tasks."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from command_device import CommandDevice
from conftest import Broker
from e2e.conftest import wait_until
from mqtt_device import MqttDevice
from plumbline.adapters.mqtt.configuration import COMMAND_USER, LORAWAN_COMMAND_USER
from plumbline.adapters.mqtt.endpoint import Endpoint
from plumbline.adapters.mqtt.publisher import MqttPublisher
from plumbline.domain.publication import Publication, Published
from plumbline.errors import BrokerUnavailable
from plumbline.local.servers.mosquitto import MosquittoServer

TAKEN = Published(taken=True)
NOBODY = Published()


@contextmanager
def publisher_of(broker: Broker, user: str = COMMAND_USER) -> Iterator[MqttPublisher]:
    made = MqttPublisher(broker.user_url(user))
    try:
        yield made
    finally:
        made.close()


def order(device_id: str = "d1", text: str = "x", **options: object) -> Publication:
    return Publication(
        f"tilt/{device_id}/commands",
        json.dumps({"command_id": text}).encode(),
        **options,  # type: ignore[arg-type] # of Publication's fields
    )


@pytest.fixture
def device(mosquitto: Broker) -> Iterator[CommandDevice]:
    password = mosquitto.add_devices("d1")["d1"]
    with CommandDevice((mosquitto.host, mosquitto.port), "d1", password) as connected:
        yield connected


def test_a_device_gets_the_message_with_all_that_mqtt_5_can_say(
    mosquitto: Broker, device: CommandDevice
) -> None:
    with publisher_of(mosquitto) as publisher:
        sent = order(expires_in_s=60, response_topic="tilt/d1/commands/ack", correlation=b"\0id")
        assert publisher.publish([sent]) == [TAKEN]
    told = device.next()
    assert (told.payload, told.retained) == (sent.payload, False)
    assert told.expiry_s in {59, 60}
    assert (told.response_topic, told.correlation) == ("tilt/d1/commands/ack", b"\0id")


def test_nobody_there_is_told(mosquitto: Broker, device: CommandDevice) -> None:
    with publisher_of(mosquitto) as publisher:
        results = publisher.publish([order("d2"), order("d1"), order("d3")])
    assert results == [NOBODY, TAKEN, NOBODY]
    assert device.next().command_id == "x"


def test_a_device_that_is_away_gets_it_when_it_comes_back_once(mosquitto: Broker) -> None:
    """And never again: a retained command would run at every connection."""
    password = mosquitto.add_devices("d1")["d1"]
    address = (mosquitto.host, mosquitto.port)
    with CommandDevice(address, "d1", password):
        pass
    with publisher_of(mosquitto) as publisher:
        assert publisher.publish([order(expires_in_s=60)]) == [TAKEN]
    received = []
    for _ in range(3):
        with CommandDevice(address, "d1", password) as back:
            received.append(0 if back.is_quiet() else 1)
    assert received == [1, 0, 0]


def test_what_has_expired_at_the_broker_is_not_delivered(mosquitto: Broker) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    address = (mosquitto.host, mosquitto.port)
    with CommandDevice(address, "d1", password):
        pass
    with publisher_of(mosquitto) as publisher:
        publisher.publish(
            [order(text="short", expires_in_s=1), order(text="long", expires_in_s=60)]
        )
    over = time.monotonic() + 2.1  # whole seconds of the broker's clock
    wait_until(lambda: time.monotonic() > over, 20, "the expiry")
    with CommandDevice(address, "d1", password) as back:
        assert back.next().command_id == "long"
        assert back.is_quiet()


def test_many_messages_come_in_their_order(mosquitto: Broker, device: CommandDevice) -> None:
    """More than the window of messages under way."""
    with publisher_of(mosquitto) as publisher:
        results = publisher.publish([order(text=str(number)) for number in range(200)])
    assert results == [TAKEN] * 200
    assert [device.next().command_id for _ in range(200)] == [str(n) for n in range(200)]


def test_the_connection_is_kept_from_call_to_call(mosquitto: Broker, device: CommandDevice) -> None:
    pid = mosquitto.server.pid
    assert pid is not None
    with publisher_of(mosquitto) as publisher:
        publisher.publish([order()])
        before = connections(pid)
        for _ in range(5):
            publisher.publish([order()])
        assert connections(pid) == before
    assert [device.next().command_id for _ in range(6)] == ["x"] * 6


def connections(pid: int) -> set[tuple[object, ...]]:
    found = psutil.Process(pid).net_connections("tcp")
    return {(c.laddr, c.raddr) for c in found if c.status == psutil.CONN_ESTABLISHED}


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
def test_a_broker_that_was_restarted_is_found_again(mosquitto: Broker, *, kill: bool) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    address = (mosquitto.host, mosquitto.port)
    with publisher_of(mosquitto) as publisher:
        assert publisher.publish([order()]) == [NOBODY]
        if kill:
            mosquitto.server.kill()
        else:
            mosquitto.server.stop()
        [away] = publisher.publish([order()])
        assert not away.taken
        assert away.unavailable is not None
        assert mosquitto.host in away.unavailable
        mosquitto.server.start()
        mosquitto.server.wait_ready(30)
        with CommandDevice(address, "d1", password) as device:
            assert publisher.publish([order()]) == [TAKEN]
            assert device.next().command_id == "x"


def test_two_publishers_of_one_user_take_each_others_connection_and_both_go_on(
    mosquitto: Broker, device: CommandDevice
) -> None:
    """As two instances of a function would: the broker makes the user name the client id."""
    rounds = 15

    def work(name: str) -> list[Published]:
        with publisher_of(mosquitto) as publisher:
            return [
                publisher.publish([order(text=f"{name}{number}")])[0] for number in range(rounds)
            ]

    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(work, ("a", "b")))
    assert results == [[TAKEN] * rounds] * 2
    seen: dict[str, list[int]] = {"a": [], "b": []}
    while not (seen["a"][-1:] == seen["b"][-1:] == [rounds - 1]):
        text = device.next().command_id
        if int(text[1:]) not in seen[text[0]]:  # a repetition, which its id tells
            seen[text[0]].append(int(text[1:]))
    assert seen == {"a": list(range(rounds)), "b": list(range(rounds))}


def test_an_endpoint_that_does_not_resolve_publishes_nothing() -> None:
    publisher = MqttPublisher("mqtt://u:p@host.invalid")
    with pytest.raises(BrokerUnavailable, match="does not resolve"):
        publisher.publish([order()])


def test_wrong_credentials_are_told(mosquitto: Broker) -> None:
    endpoint = Endpoint.parse(mosquitto.user_url(COMMAND_USER))
    publisher = MqttPublisher(f"mqtt://{COMMAND_USER}:wrong@{endpoint.host}:{endpoint.port}")
    [result] = publisher.publish([order()])
    assert result.unavailable is not None
    assert "Not authorized" in result.unavailable


def test_a_topic_that_the_user_may_not_write_is_told(mosquitto: Broker) -> None:
    """To an MQTT 5 client the broker says so."""
    with publisher_of(mosquitto, LORAWAN_COMMAND_USER) as publisher:
        [result] = publisher.publish([order()])
    assert not result.taken
    assert result.unavailable is not None
    assert "Not authorized" in result.unavailable


@pytest.fixture
def second(server_dir: Path, mosquitto: Broker) -> Iterator[Broker]:
    """Yield another task of the same broker: another address, the same port and services."""
    data_dir = server_dir / f"second-{mosquitto.port}"
    (data_dir / "secrets").mkdir(parents=True)
    for path in (mosquitto.server.data_dir / "secrets").glob("mosquitto-*"):
        (data_dir / "secrets" / path.name).write_text(path.read_text("ascii"), "ascii")
    server = MosquittoServer(data_dir, mosquitto.port, plain_host="127.0.0.2")
    server.start()
    try:
        server.wait_ready(30)
        yield replace(mosquitto, server=server)
    finally:
        server.stop()


def publisher_of_both(mosquitto: Broker) -> MqttPublisher:
    url = mosquitto.user_url(COMMAND_USER).replace(mosquitto.host, "brokers.test")
    return MqttPublisher(url, resolve=lambda _host, _port: ["127.0.0.2", mosquitto.host])


def test_every_task_gets_every_message(mosquitto: Broker, second: Broker) -> None:
    """Nobody knows at which of them the device is."""
    passwords = [task.add_devices("d1")["d1"] for task in (mosquitto, second)]
    publisher = publisher_of_both(mosquitto)
    for task, password in zip((mosquitto, second), passwords, strict=True):
        with CommandDevice((task.host, task.port), "d1", password) as device:
            assert publisher.publish([order(text="x"), order("d2")]) == [TAKEN, NOBODY]
            assert device.next().command_id == "x"
            assert device.is_quiet()
        # Its session, which would take the next for it, ends with it.
        MqttDevice((task.host, task.port), "d1", password).close()
    publisher.close()


def test_a_task_that_is_down_keeps_no_other_from_getting_it(
    mosquitto: Broker, second: Broker, device: CommandDevice
) -> None:
    publisher = publisher_of_both(mosquitto)
    second.server.stop()
    [result] = publisher.publish([order()])
    assert result.taken
    assert result.unavailable is not None
    assert "127.0.0.2" in result.unavailable
    assert device.next().command_id == "x"
    publisher.close()


def test_a_task_that_is_gone_from_the_endpoint_is_left(
    mosquitto: Broker, second: Broker, device: CommandDevice
) -> None:
    addresses = ["127.0.0.2", mosquitto.host]
    url = mosquitto.user_url(COMMAND_USER)
    publisher = MqttPublisher(url, resolve=lambda _host, _port: addresses)
    assert publisher.publish([order()]) == [TAKEN]
    pid = second.server.pid
    assert pid is not None
    assert len(connections(pid)) == 1
    addresses.remove("127.0.0.2")
    assert publisher.publish([order()]) == [TAKEN]
    wait_until(lambda: not connections(pid), 20, "the connection to be closed")
    assert [device.next().command_id for _ in range(2)] == ["x", "x"]
    publisher.close()


def test_a_broker_that_never_acknowledges_is_an_error_in_time(mosquitto: Broker) -> None:
    """Stopped in the middle of everything: the connection stays open."""
    pid = mosquitto.server.pid
    assert pid is not None
    with publisher_of(mosquitto) as publisher:
        publisher.publish([order()])
        psutil.Process(pid).suspend()
        try:
            began = time.monotonic()
            [result] = publisher.publish([order()])
        finally:
            psutil.Process(pid).resume()
        assert result.unavailable is not None
        assert not result.taken
        assert time.monotonic() - began < 12, "a function has 30 seconds in all"


def test_over_tls(mosquitto: Broker, device: CommandDevice) -> None:
    url = mosquitto.user_url(COMMAND_USER).replace("mqtt://", "mqtts://")
    url = url.replace(f"@{mosquitto.host}:{mosquitto.port}", f"@localhost:{mosquitto.tls_port}")
    publisher = MqttPublisher(url, ca_file=mosquitto.ca_file)
    assert publisher.publish([order(text=str(n)) for n in range(50)]) == [TAKEN] * 50
    assert [device.next().command_id for _ in range(50)] == [str(n) for n in range(50)]
    publisher.close()


def test_mqtt_3_devices_get_it_too(mosquitto: Broker) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    with (
        MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device,
        publisher_of(mosquitto) as publisher,
    ):
        device.subscribe("tilt/d1/commands")
        sent = order(expires_in_s=60, correlation=b"1")
        assert publisher.publish([sent]) == [TAKEN]
        assert device.messages(20) == [("tilt/d1/commands", sent.payload)]
