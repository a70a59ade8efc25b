"""Who may do what at the broker, on a real Mosquitto with the configuration we give it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from draining import TELEMETRY, create_session, numbered, payloads, take
from mqtt_device import NOT_AUTHORISED, MqttDevice, Refused

from plumbline.adapters.mqtt.configuration import (
    COMMAND_USER,
    INGEST_USER,
    MONITOR_USER,
    BrokerOptions,
)
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.mqtt.endpoint import Endpoint
from plumbline.local.servers.mosquitto import MosquittoServer

if TYPE_CHECKING:
    from conftest import Broker

# Long enough for a message that should not come.
SILENCE_S = 0.5


@pytest.fixture
def broker(mosquitto: "Broker") -> MqttBroker:
    """Return the drain's side of a fresh broker whose session exists."""
    broker = MqttBroker(mosquitto.user_url(INGEST_USER), ["tilt/#", "application/#", "v3/#"])
    create_session(broker)
    return broker


def connect(mosquitto: "Broker", user: str, password: str | None = None) -> MqttDevice:
    """Connect as a service user, or as a device with its password."""
    secret = Endpoint.parse(mosquitto.user_url(user)).password if password is None else password
    return MqttDevice((mosquitto.host, mosquitto.port), user, secret)


@pytest.mark.parametrize("username", [None, "stranger", "d1", INGEST_USER])
def test_nobody_connects_without_the_right_password(
    mosquitto: "Broker", username: str | None
) -> None:
    mosquitto.add_devices("d1")
    with pytest.raises((Refused, ConnectionError)) as caught:
        MqttDevice((mosquitto.host, mosquitto.port), username, "guess")
    if isinstance(caught.value, Refused):
        assert caught.value.code == NOT_AUTHORISED


def test_a_device_publishes_under_its_own_id_only(mosquitto: "Broker", broker: MqttBroker) -> None:
    passwords = mosquitto.add_devices("d1", "d2")
    with connect(mosquitto, "d1", passwords["d1"]) as device:
        for topic in (
            "tilt/d2/telemetry",
            "tilt/d2/commands",
            "tilt/d2/commands/ack",
            "tilt/d1/commands",
            "tilt/d1/other",
            "application/1/device/0102030405060708/event/up",
            "v3/app@tenant/devices/d2/up",
        ):
            device.publish(topic, b"not mine")
        device.publish("tilt/d1/telemetry", b"mine")
        device.publish("tilt/d1/commands/ack", b"mine")
    assert payloads(take(broker)) == [b"mine", b"mine"]


def test_a_device_hears_its_own_commands_only(mosquitto: "Broker") -> None:
    passwords = mosquitto.add_devices("d1", "d2")
    with (
        connect(mosquitto, "d1", passwords["d1"]) as spy,
        connect(mosquitto, "d2", passwords["d2"]) as device,
        connect(mosquitto, COMMAND_USER) as commander,
    ):
        for topic in ("#", "tilt/#", "tilt/+/commands", "tilt/d2/telemetry", "$SYS/#"):
            spy.subscribe(topic)
        device.publish("tilt/d2/telemetry", b"reading")
        commander.publish("tilt/d2/commands", b"for d2")
        commander.publish("tilt/d1/commands", b"for d1")
        heard = spy.messages(SILENCE_S, count=100)
    assert set(heard) == {("tilt/d1/commands", b"for d1")}


def test_a_command_waits_for_a_device_that_subscribed_with_qos_0(mosquitto: "Broker") -> None:
    password = mosquitto.add_devices("d1")["d1"]
    address = (mosquitto.host, mosquitto.port)
    with MqttDevice(address, "d1", password, clean_session=False) as device:
        device.subscribe("tilt/d1/commands", qos=0)
    with connect(mosquitto, COMMAND_USER) as commander:
        commander.publish("tilt/d1/commands", b"1")
    with MqttDevice(address, "d1", password, clean_session=False) as device:
        assert device.session_present
        assert device.messages(5) == [("tilt/d1/commands", b"1")]


@pytest.mark.parametrize(
    ("user", "may_write"),
    [
        (INGEST_USER, []),
        (
            COMMAND_USER,
            [
                "tilt/d1/commands",
                "application/1/device/0102030405060708/command/down",
                "v3/app@tenant/devices/d1/down/push",
            ],
        ),
        (MONITOR_USER, []),
    ],
)
def test_a_service_writes_what_it_must_and_nothing_more(
    mosquitto: "Broker", broker: MqttBroker, user: str, may_write: list[str]
) -> None:
    """Also not what the devices' patterns would give a device of its name."""
    topics = [
        "tilt/d1/telemetry",
        "tilt/d1/commands",
        "tilt/d1/commands/ack",
        f"tilt/{user}/telemetry",
        f"tilt/{user}/commands/ack",
        "application/1/device/0102030405060708/event/up",
        "application/1/device/0102030405060708/command/down",
        "v3/app@tenant/devices/d1/up",
        "v3/app@tenant/devices/d1/down/push",
    ]
    password = mosquitto.add_devices("d1")["d1"]
    with (
        connect(mosquitto, "d1", password) as device,
        connect(mosquitto, user) as service,
    ):
        device.subscribe("tilt/d1/commands")
        for topic in topics:
            service.publish(topic, topic.encode())
        commands = [topic for topic, _ in device.messages(SILENCE_S, count=9)]
    drained = [message.topic for message in take(broker)]
    # No user of ours reads the LoRaWAN downlink topics, so of these the log below is the witness.
    assert commands == [topic for topic in may_write if topic == "tilt/d1/commands"]
    assert drained == []


@pytest.mark.parametrize(
    ("user", "reads"),
    [
        (
            INGEST_USER,
            {
                "tilt/d1/telemetry",
                "tilt/d1/commands/ack",
                "application/1/device/0102030405060708/event/up",
                "v3/app@tenant/devices/d1/up",
            },
        ),
        (COMMAND_USER, set()),
        (MONITOR_USER, set()),
    ],
)
def test_a_service_reads_what_it_must_and_nothing_more(
    server_dir: Path, request: pytest.FixtureRequest, user: str, reads: set[str]
) -> None:
    """Published by a user that may write everything, whom only this test has."""
    everything = [
        "tilt/d1/telemetry",
        "tilt/d1/commands",
        "tilt/d1/commands/ack",
        f"tilt/{user}/commands",
        "application/1/device/0102030405060708/event/up",
        "application/1/device/0102030405060708/command/down",
        "v3/app@tenant/devices/d1/up",
        "v3/app@tenant/devices/d1/down/push",
    ]
    raise NotImplementedError(server_dir, request, everything, reads)


def test_a_device_that_claims_the_ingest_client_id_leaves_its_queue_alone(
    mosquitto: "Broker", broker: MqttBroker
) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    sent = numbered(100)
    with connect(mosquitto, "d1", password) as device:
        device.publish_many("tilt/d1/telemetry", sent)
    address = (mosquitto.host, mosquitto.port)
    with MqttDevice(address, "d1", password, client_id=INGEST_USER, clean_session=True):
        pass
    with pytest.raises(Refused):
        MqttDevice(address, INGEST_USER, password, client_id=INGEST_USER, clean_session=True)
    assert payloads(take(broker)) == sent


def test_a_message_too_large_is_not_acknowledged(mosquitto: "Broker", broker: MqttBroker) -> None:
    """An acknowledged message is never dropped, so the connection ends instead."""
    password = mosquitto.add_devices("d1")["d1"]
    with connect(mosquitto, "d1", password) as device:
        device.publish("tilt/d1/telemetry", b"x" * 1_000_000)
        with pytest.raises(ConnectionError):
            device.publish("tilt/d1/telemetry", b"x" * 2_200_000)
    assert [len(message.payload) for message in take(broker)] == [1_000_000]


class TestWithOptions:
    """Brokers with other options than the default."""

    @pytest.fixture
    def options(self) -> BrokerOptions:
        """Return the broker's options; each test's own."""
        return BrokerOptions(log_messages=True, max_queued_bytes=10_000)

    @pytest.fixture
    def broker(
        self, server_dir: Path, tmp_path: Path, options: BrokerOptions
    ) -> Iterator["Broker"]:
        """Yield a broker with the options."""
        raise NotImplementedError(server_dir, tmp_path, options, MosquittoServer)

    def test_dropped_messages_are_counted(self) -> None:
        """See the name."""
        raise NotImplementedError(time, TELEMETRY)
