"""Uplinks that wait for the registry, on a real broker and a database that is really away."""

import json
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conftest import Broker
from draining import create_session
from fakes import MemoryQueue
from mqtt_device import MqttDevice
from plumbline.adapters.clock import SystemClock
from plumbline.adapters.mqtt.configuration import INGEST_USER, NETWORK_SERVER_USERS
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.devices import PostgresDeviceRegistry
from plumbline.adapters.postgres.lorawan_devices import PostgresLorawanDevices
from plumbline.adapters.postgres.migrate import migrate
from plumbline.application.intake import Intake
from plumbline.application.parse import Parse, ParseReport
from plumbline.codecs.queue_message import decode
from plumbline.codecs.uplink_event import UPLINK_FILTERS
from plumbline.domain.delivery import DeliveredReading
from plumbline.domain.device import NetworkServer
from plumbline.domain.reading import format_time
from plumbline.errors import StoreUnavailable
from plumbline.local.servers.mosquitto import service_password
from plumbline.local.servers.postgres import PostgresServer
from plumbline.topology import TOPOLOGY
from uplink_events import chirpstack_event, chirpstack_topic, entry

DEADLINE_S = 60.0


class NoLock:
    def hold(self, function: str) -> "nullcontext[None]":
        del function
        return nullcontext()


@pytest.fixture
def postgres(data_dir: Path) -> Iterator[PostgresServer]:
    """Yield a PostgreSQL of this test's own, with one registered device."""
    server = PostgresServer(data_dir)
    server.start()
    try:
        server.wait_ready(DEADLINE_S)
        migrate(server.url)
        with closing(Database(server.url, StoreUnavailable)) as database:
            PostgresDeviceRegistry(database).add_lorawan({"pier": entry()}, "")
        yield server
    finally:
        server.stop()


def readings(queue: MemoryQueue) -> list[tuple[str, int | None]]:
    """Take what has come to the queue."""
    found: list[tuple[str, int | None]] = []
    while received := queue.receive(1000):
        contents = map(decode, received)
        found += [
            (one.reading.device_id, one.reading.sequence)
            for one in contents
            if isinstance(one, DeliveredReading)
        ]
        queue.delete([message.receipt_handle for message in received])
    return found


def test_while_the_database_is_away_uplinks_wait_at_the_broker_and_devices_go_on(
    mosquitto: Broker, postgres: PostgresServer
) -> None:
    """Twice as many uplinks as a batch, then what the devices sent behind them."""
    broker = MqttBroker(mosquitto.user_url(INGEST_USER), ["tilt/+/telemetry", *UPLINK_FILTERS])
    create_session(broker)
    queue = MemoryQueue("distributing", fifo=False)
    database = Database(postgres.url, StoreUnavailable)
    intake = Intake(queue, SystemClock(), PostgresLorawanDevices(database))
    parse = Parse(broker, intake, NoLock(), TOPOLOGY.local_drain)
    user = NETWORK_SERVER_USERS[NetworkServer.CHIRPSTACK]
    address = (mosquitto.host, mosquitto.port)
    now = datetime.now(UTC)
    events = [chirpstack_event(f_cnt=n, at=now - timedelta(seconds=3000 - n)) for n in range(2500)]
    password = mosquitto.add_devices("tower")["tower"]
    with (
        closing(database),
        MqttDevice(address, user, service_password(mosquitto.server.data_dir, user)) as server,
        MqttDevice(address, "tower", password) as tower,
    ):
        postgres.stop()
        server.publish_many(chirpstack_topic(), events)
        tower.publish("tilt/tower/telemetry", reading(now))
        report = run(parse)
        assert (report.waiting, report.readings, report.drained) == (2500, 1, False)
        assert readings(queue) == [("tower", 1)]
        tower.publish("tilt/tower/telemetry", reading(now + timedelta(seconds=1)))
        assert run(parse).waiting == 2500
        assert readings(queue) == [("tower", 1)]

        postgres.start()
        postgres.wait_ready(DEADLINE_S)
        deadline = time.monotonic() + DEADLINE_S
        while (report := run(parse)).waiting:
            assert time.monotonic() < deadline
    assert readings(queue) == [("pier", number) for number in range(2500)]
    assert run(parse).messages == 0, "all of them are acknowledged"


def run(parse: Parse) -> ParseReport:
    return parse.run(lambda: 60.0)


def reading(at: datetime) -> bytes:
    members = {"timestamp": format_time(at), "tilt_angle": 1.5, "sequence": 1}
    return json.dumps(members).encode()
