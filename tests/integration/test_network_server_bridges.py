"""The bridges of the how-to pages, on real Mosquittos: every line stands as a user copies it."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from draining import create_session
from mqtt_device import MqttDevice
from plumbline.adapters.mqtt.configuration import (
    INGEST_USER,
    LORAWAN_COMMAND_USER,
    NETWORK_SERVER_USERS,
)
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.mqtt.endpoint import Endpoint
from plumbline.codecs.uplink_event import UPLINK_FILTERS
from plumbline.domain.device import NetworkServer
from plumbline.local.servers.mosquitto import service_password
from plumbline.local.servers.ports import free_port
from plumbline.ports import BrokerMessage

if TYPE_CHECKING:
    from conftest import Broker

HOW_TO = Path(__file__).parents[2] / "docs/how-to"
DEADLINE_S = 20.0
APPLICATION = "tilt@ttn"
UP = f"v3/{APPLICATION}/devices/eui-1000000000000001/up"
PUSH = f"v3/{APPLICATION}/devices/eui-1000000000000001/down/push"
EVENT = "application/ca739e26/device/1000000000000001/event/up"
DOWN = "application/ca739e26/device/1000000000000001/command/down"


def block(page: str) -> str:
    """Return the configuration of a page."""
    [text] = re.findall(r"```conf\n(.*?)```", (HOW_TO / page).read_text("utf-8"), re.DOTALL)
    assert isinstance(text, str)
    return text


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"


@contextmanager
def running(directory: Path, configuration: str) -> Iterator[int]:
    """Run a Mosquitto that lets everybody do everything; yield its port."""
    port = free_port()
    path = directory / f"{port}.conf"
    head = f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\n"
    path.write_text(head + configuration)
    with (directory / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(["mosquitto", "-c", path], stderr=log)
        try:
            wait_until(lambda: can_connect(port), f"port {port}")
            yield port
        finally:
            process.terminate()
            process.wait(10)


def can_connect(port: int) -> bool:
    try:
        with MqttDevice(("127.0.0.1", port), None, client_id="probe"):
            return True
    except OSError:
        return False


@pytest.fixture
def broker(mosquitto: "Broker") -> MqttBroker:
    """Return Plumbline's side, with the ingest session."""
    broker = MqttBroker(mosquitto.user_url(INGEST_USER), list(UPLINK_FILTERS))
    create_session(broker)
    return broker


def filled(text: str, mosquitto: "Broker", server: NetworkServer) -> str:
    """Put into the page's block what it leaves to the user."""
    password = service_password(mosquitto.server.data_dir, NETWORK_SERVER_USERS[server])
    return (
        text.replace("192.0.2.10:8883", f"127.0.0.1:{mosquitto.tls_port}")
        .replace("/etc/mosquitto/plumbline-ca.crt", str(mosquitto.ca_file))
        .replace("PASSWORD", password)
        .replace("APPLICATION@TENANT", APPLICATION)
        .replace("API-KEY", "NNSXS.ANY")
    )


def received(broker: MqttBroker, count: int) -> list[BrokerMessage]:
    """Take what comes until it is so many."""
    taken: list[BrokerMessage] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(taken) < count and time.monotonic() < deadline:
        [address] = broker.addresses()
        with broker.open(address) as session:
            messages = session.receive(100, linger_s=1, quiet_s=0.3)
            session.acknowledge(messages)
            taken += messages
    return taken


def test_the_things_stack_reaches_plumbline_and_back(
    mosquitto: "Broker", broker: MqttBroker, tmp_path: Path
) -> None:
    """Uplinks with QoS 0 arrive with QoS 1, also those sent while Plumbline's broker was away."""
    with ExitStack() as stack:
        theirs = stack.enter_context(running(tmp_path, ""))
        bridge = filled(block("connect-the-things-stack.md"), mosquitto, NetworkServer.THINGS_STACK)
        bridge = bridge.replace("eu1.cloud.thethings.network:8883", f"127.0.0.1:{theirs}")
        bridge = bridge.replace("bridge_capath /etc/ssl/certs\n", "")
        stack.enter_context(running(tmp_path, bridge))
        server = stack.enter_context(
            MqttDevice(("127.0.0.1", theirs), None, client_id="application-server")
        )
        server.subscribe("v3/+/devices/+/down/push", qos=0)
        command = Endpoint.parse(mosquitto.user_url(LORAWAN_COMMAND_USER))
        commander = stack.enter_context(
            MqttDevice((mosquitto.host, mosquitto.port), LORAWAN_COMMAND_USER, command.password)
        )
        heard: list[tuple[str, bytes]] = []

        def command_arrives() -> bool:
            commander.publish(PUSH, b"{}")
            heard.extend(server.messages(0.5))
            return bool(heard)

        wait_until(command_arrives, "a downlink through the bridge")
        assert heard[0] == (PUSH, b"{}")
        server.publish(UP, b"1", qos=0)
        [uplink] = received(broker, 1)
        assert (uplink.topic, uplink.payload) == (UP, b"1")
        assert uplink.packet_id, "QoS 1"

        commander.close()
        mosquitto.server.stop()
        server.publish(UP, b"2", qos=0)
        server.publish(UP, b"3", qos=0)
        server.ping()
        mosquitto.server.start()
        mosquitto.server.wait_ready(DEADLINE_S)
        assert [m.payload for m in received(broker, 2)] == [b"2", b"3"]


def test_a_cluster_of_chirpstacks_reaches_plumbline_through_its_own_broker(
    mosquitto: "Broker", broker: MqttBroker, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        bridge = filled(block("connect-chirpstack.md"), mosquitto, NetworkServer.CHIRPSTACK)
        own = stack.enter_context(running(tmp_path, bridge))
        one, other = (
            stack.enter_context(MqttDevice(("127.0.0.1", own), None, client_id=name))
            for name in ("chirpstack-1", "chirpstack-2")
        )
        one.publish(EVENT, b"1", qos=1)
        other.publish(EVENT, b"2", qos=1)
        assert sorted(m.payload for m in received(broker, 2)) == [b"1", b"2"]
        one.subscribe("application/+/device/+/command/+")
        command = Endpoint.parse(mosquitto.user_url(LORAWAN_COMMAND_USER))
        with MqttDevice(
            (mosquitto.host, mosquitto.port), LORAWAN_COMMAND_USER, command.password
        ) as commander:
            commander.publish(DOWN, b"{}")
            assert one.messages(DEADLINE_S) == [(DOWN, b"{}")]
