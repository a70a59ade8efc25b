"""Who may do what at the broker, on a real Mosquitto with the configuration we give it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from draining import create_session, numbered, payloads, take
from mqtt_device import NOT_AUTHORISED, MqttDevice, Refused
from plumbline.adapters.mqtt.configuration import (
    COMMAND_USER,
    INGEST_USER,
    LORAWAN_COMMAND_USER,
    MONITOR_USER,
    NETWORK_SERVER_USERS,
    SERVICE_USERS,
)
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.mqtt.endpoint import Endpoint

if TYPE_CHECKING:
    from conftest import Broker

# Long enough for a message that should not come.
SILENCE_S = 0.5

CHIRPSTACK_USER, THINGS_STACK_USER = NETWORK_SERVER_USERS.values()

SAID_OF_DOWNLINKS = {
    f"v3/app@tenant/devices/d1/down/{event}"
    for event in ("queued", "sent", "ack", "nack", "failed")
}
TOPICS = {
    "tilt/d1/telemetry",
    "tilt/d1/commands",
    "tilt/d1/commands/ack",
    "tilt/d1/other",
    "application/1/device/0102030405060708/event/up",
    "application/1/device/0102030405060708/event/txack",
    "application/1/device/0102030405060708/command/down",
    "application/1/device/0102030405060708/other/up",
    "v3/app@tenant/devices/d1/up",
    "v3/app@tenant/devices/d1/join",
    "v3/app@tenant/devices/d1/down/push",
    "v3/app@tenant/devices/d1/down/replace",
    *SAID_OF_DOWNLINKS,
}
READS = {
    INGEST_USER: {
        "tilt/d1/telemetry",
        "tilt/d1/commands/ack",
        "application/1/device/0102030405060708/event/up",
        "application/1/device/0102030405060708/event/txack",
        "v3/app@tenant/devices/d1/up",
        *SAID_OF_DOWNLINKS,
    },
    COMMAND_USER: set[str](),
    LORAWAN_COMMAND_USER: set[str](),
    MONITOR_USER: set[str](),
    CHIRPSTACK_USER: {"application/1/device/0102030405060708/command/down"},
    THINGS_STACK_USER: {
        "v3/app@tenant/devices/d1/down/push",
        "v3/app@tenant/devices/d1/down/replace",
    },
    "d1": {"tilt/d1/commands"},
    "d2": set[str](),
}
WRITES = {
    INGEST_USER: set[str](),
    COMMAND_USER: {"tilt/d1/commands"},
    LORAWAN_COMMAND_USER: {
        "application/1/device/0102030405060708/command/down",
        "v3/app@tenant/devices/d1/down/push",
        "v3/app@tenant/devices/d1/down/replace",
    },
    MONITOR_USER: set[str](),
    CHIRPSTACK_USER: {
        "application/1/device/0102030405060708/event/up",
        "application/1/device/0102030405060708/event/txack",
    },
    THINGS_STACK_USER: {
        "v3/app@tenant/devices/d1/up",
        "v3/app@tenant/devices/d1/join",
        *SAID_OF_DOWNLINKS,
    },
    "d1": {"tilt/d1/telemetry", "tilt/d1/commands/ack"},
    "d2": set[str](),
}


@pytest.fixture
def passwords(mosquitto: "Broker") -> dict[str, str]:
    """Return the passwords of two devices, and of one user whom everything is allowed."""
    with (mosquitto.server.directory / "acl").open("a", encoding="ascii") as rules:
        rules.write("\nuser witness\ntopic readwrite #\n")
    return mosquitto.add_devices("d1", "d2", "witness")


@pytest.fixture
def witness(mosquitto: "Broker", passwords: dict[str, str]) -> Iterator[MqttDevice]:
    """Yield a client that may read and write everything."""
    with connect(mosquitto, "witness", passwords) as witness:
        yield witness


def connect(mosquitto: "Broker", user: str, passwords: dict[str, str]) -> MqttDevice:
    """Connect as a device, or as a service user."""
    secret = passwords.get(user) or Endpoint.parse(mosquitto.user_url(user)).password
    return MqttDevice((mosquitto.host, mosquitto.port), user, secret)


def own_topics(user: str) -> set[str]:
    """Return what the devices' patterns would give a service of that name."""
    if user not in SERVICE_USERS:
        return set()
    return {f"tilt/{user}/telemetry", f"tilt/{user}/commands", f"tilt/{user}/commands/ack"}


@pytest.mark.parametrize("username", [None, "stranger", "d1", INGEST_USER])
def test_nobody_connects_without_the_right_password(
    mosquitto: "Broker", username: str | None
) -> None:
    mosquitto.add_devices("d1")
    with pytest.raises(Refused) as caught:
        MqttDevice((mosquitto.host, mosquitto.port), username, "guess")
    assert caught.value.code == NOT_AUTHORISED


@pytest.mark.parametrize("user", WRITES)
def test_a_user_writes_what_it_must_and_nothing_more(
    mosquitto: "Broker", passwords: dict[str, str], witness: MqttDevice, user: str
) -> None:
    """Each is acknowledged all the same: 3.1.1 has no word for "not allowed".

    Each has its own connection, as Mosquitto 2.0.11 ends it after a refused one.
    """
    witness.subscribe("#")
    for topic in sorted(TOPICS | own_topics(user)):
        with connect(mosquitto, user, passwords) as client:
            client.publish(topic, b"1")
    assert {topic for topic, _ in witness.messages(SILENCE_S, count=100)} == WRITES[user]


@pytest.mark.parametrize("user", READS)
def test_a_user_reads_what_it_must_and_nothing_more(
    mosquitto: "Broker", passwords: dict[str, str], witness: MqttDevice, user: str
) -> None:
    topics = TOPICS | own_topics(user)
    with connect(mosquitto, user, passwords) as client:
        for topic in ("#", *topics):
            client.subscribe(topic)
        for topic in topics:
            witness.publish(topic, b"1")
        heard = {topic for topic, _ in client.messages(SILENCE_S, count=1000)}
    assert heard == READS[user]


@pytest.mark.parametrize(("user", "sees"), [(MONITOR_USER, True), (COMMAND_USER, False)])
def test_only_the_monitor_reads_the_brokers_own_counters(
    mosquitto: "Broker", user: str, *, sees: bool
) -> None:
    with connect(mosquitto, user, {}) as client:
        client.subscribe("$SYS/#")
        assert bool(client.messages(SILENCE_S, count=5)) == sees


def test_a_command_waits_for_a_device_that_subscribed_with_qos_0(mosquitto: "Broker") -> None:
    password = mosquitto.add_devices("d1")["d1"]
    address = (mosquitto.host, mosquitto.port)
    with MqttDevice(address, "d1", password, clean_session=False) as device:
        device.subscribe("tilt/d1/commands", qos=0)
    with connect(mosquitto, COMMAND_USER, {}) as commander:
        commander.publish("tilt/d1/commands", b"1")
    with MqttDevice(address, "d1", password, clean_session=False) as device:
        assert device.session_present
        assert device.messages(5) == [("tilt/d1/commands", b"1")]


def test_a_device_that_claims_the_ingest_client_id_leaves_its_queue_alone(
    mosquitto: "Broker",
) -> None:
    """A clean session of that name would delete the queue: 100 messages, then 0."""
    broker = MqttBroker(mosquitto.user_url(INGEST_USER), ["tilt/+/telemetry"])
    create_session(broker)
    passwords = mosquitto.add_devices("d1")
    sent = numbered(100)
    with connect(mosquitto, "d1", passwords) as device:
        device.publish_many("tilt/d1/telemetry", sent)

    address = (mosquitto.host, mosquitto.port)
    with MqttDevice(address, "d1", passwords["d1"], client_id=INGEST_USER):
        pass
    with pytest.raises(Refused):
        MqttDevice(address, INGEST_USER, passwords["d1"])
    assert payloads(take(broker)) == sent
