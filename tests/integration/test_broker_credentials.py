"""Adding, rotating and disabling devices takes effect at the running broker, for them alone."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from draining import TELEMETRY, create_session, payloads, take
from mqtt_device import MqttDevice, Refused
from plumbline.adapters.mqtt.configuration import INGEST_USER, SERVICE_USERS
from plumbline.adapters.mqtt.credentials import PasswordFile, reload
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.devices import PostgresDeviceRegistry
from plumbline.application.devices import Devices
from plumbline.errors import StoreUnavailable
from plumbline.local.servers.mosquitto import service_password

if TYPE_CHECKING:
    from conftest import Broker

EFFECT_S = 2.0
REGISTERED = [f"sensor-{number:04d}" for number in range(1000)]
CONNECTED = 200


@pytest.fixture
def devices(mosquitto: "Broker", database_url: str) -> Iterator[Devices]:
    """Yield the registry that tells the running broker."""
    server = mosquitto.server
    services = {user: service_password(server.data_dir, user) for user in SERVICE_USERS}

    def reload_broker() -> None:
        assert server.pid is not None
        reload(server.pid)

    database = Database(database_url, StoreUnavailable)
    credentials = PasswordFile(server.directory / "passwords", services, reload_broker)
    yield Devices(PostgresDeviceRegistry(database), credentials)
    database.close()


def within(timeout_s: float, condition: Callable[[], bool]) -> None:
    """Wait until it holds; it must within the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_changes_take_effect_within_two_seconds_and_disturb_nobody_else(
    mosquitto: "Broker", devices: Devices
) -> None:
    """1,000 registered devices, 200 of them connected, and the ingest session."""

    def connect(username: str, password: str) -> MqttDevice:
        return MqttDevice((mosquitto.host, mosquitto.port), username, password)

    def connects(username: str, password: str) -> bool:
        try:
            connect(username, password).close()
        except Refused:
            return False
        return True

    started = time.monotonic()
    new = devices.add_many(REGISTERED)
    assert time.monotonic() - started < EFFECT_S
    assert [one.username for one in new] == REGISTERED
    passwords = {one.username: one.password for one in new}
    within(EFFECT_S, lambda: connects("sensor-0999", passwords["sensor-0999"]))

    broker = MqttBroker(mosquitto.user_url(INGEST_USER), TELEMETRY)
    create_session(broker)
    with ExitStack() as stack:
        connected = {
            name: stack.enter_context(connect(name, passwords[name]))
            for name in REGISTERED[:CONNECTED]
        }
        session = stack.enter_context(broker.open(broker.addresses()[0]))

        added = devices.add("late")
        assert added is not None
        within(EFFECT_S, lambda: connects(added.username, added.password))

        rotated = devices.rotate("sensor-0000")
        within(EFFECT_S, lambda: not connected["sensor-0000"].is_alive())
        assert not connects("sensor-0000", passwords["sensor-0000"])
        assert connects("sensor-0000", rotated.password)

        devices.disable("sensor-0001")
        within(EFFECT_S, lambda: not connected["sensor-0001"].is_alive())
        assert not connects("sensor-0001", passwords["sensor-0001"])

        devices.enable("sensor-0001")
        within(EFFECT_S, lambda: connects("sensor-0001", passwords["sensor-0001"]))

        others = REGISTERED[2:CONNECTED]
        assert [name for name in others if not connected[name].is_alive()] == []
        for name in others:
            connected[name].publish(f"tilt/{name}/telemetry", name.encode())
        batch = session.receive(1000, linger_s=5, quiet_s=0.5)
        assert sorted(payloads(batch)) == [name.encode() for name in others]
        session.acknowledge(batch)
    assert take(broker) == []


def test_the_registry_reaches_a_broker_that_starts_later(
    mosquitto: "Broker", devices: Devices
) -> None:
    mosquitto.server.stop()
    new = devices.add("d1")
    mosquitto.server.start()
    mosquitto.server.wait_ready(10)
    assert new is not None
    MqttDevice((mosquitto.host, mosquitto.port), new.username, new.password).close()
