"""Simulated network servers on a real broker and a real database, held against their truth."""

import asyncio
import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from conftest import Broker
from draining import create_session, take
from fakes import MemoryQueue
from mqtt_device import MqttDevice
from plumbline.adapters.clock import SystemClock
from plumbline.adapters.mqtt.configuration import (
    INGEST_USER,
    LORAWAN_COMMAND_USER,
    NETWORK_SERVER_USERS,
)
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.mqtt.endpoint import Endpoint
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.devices import PostgresDeviceRegistry
from plumbline.adapters.postgres.lorawan_devices import PostgresLorawanDevices
from plumbline.adapters.postgres.reading_store import PostgresReadingStore
from plumbline.application.intake import Intake
from plumbline.application.persist import Persist
from plumbline.codecs.sensors.registry import codec_for
from plumbline.codecs.uplink_event import UPLINK_FILTERS
from plumbline.domain.device import Lorawan
from plumbline.errors import StoreUnavailable
from plumbline.local.servers.mosquitto import service_password
from plumbline.ports import BrokerMessage
from plumbline.simulator.config import LorawanPart, SimulationConfig
from plumbline.simulator.faults import Faults
from plumbline.simulator.fleet import run_simulation, simulate
from plumbline.simulator.lorawan.roster import roster
from plumbline.simulator.summary import SimulationSummary
from plumbline.simulator.truth import DownlinkLine, read_truth
from plumbline.simulator.verify import verify
from plumbline.simulator.verify_report import VerifyReport
from store_world import World, open_world

DEADLINE_S = 30.0
IDS = [f"sim-lw-{number:04d}" for number in range(1, 11)]
ENTRIES = roster(IDS, 1)
EVERY_FAULT = Faults(duplicates=0.2, late=0.05, out_of_order=0.1, malformed=0.1, disconnects=0.02)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return tmp_path / "truth.jsonl"


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with open_world(database_url) as world:
        PostgresDeviceRegistry(world.database).add_lorawan(ENTRIES, "")
        yield world


def part(mosquitto: Broker, devices: dict[str, Lorawan] = ENTRIES) -> LorawanPart:
    data_dir = mosquitto.server.data_dir
    users = {
        server: (user, service_password(data_dir, user))
        for server, user in NETWORK_SERVER_USERS.items()
    }
    return LorawanPart(devices, users)


def configured(mosquitto: Broker, **options: Any) -> SimulationConfig:  # noqa: ANN401 - any of the config's
    return SimulationConfig(url=f"mqtt://{mosquitto.host}:{mosquitto.port}", **options)


def ingest(mosquitto: Broker, filters: tuple[str, ...] = UPLINK_FILTERS) -> MqttBroker:
    broker = MqttBroker(mosquitto.user_url(INGEST_USER), list(filters))
    create_session(broker)
    return broker


def store(world: World, messages: list[BrokerMessage], batch: int = 97) -> None:
    """Bring messages into the database by every use case on the way, in small batches."""
    queue = MemoryQueue("distributing", fifo=False)
    with closing(Database(world.url, StoreUnavailable)) as database:
        intake = Intake(queue, SystemClock(), PostgresLorawanDevices(database))
        persist = Persist(PostgresReadingStore(database))
        for start in range(0, len(messages), batch):
            accepted = intake.accept(messages[start : start + batch])
            assert not accepted.held | accepted.waiting
            while received := queue.receive(1000):
                assert persist.run(received).failed == {}
                queue.delete([message.receipt_handle for message in received])


def simulated(
    mosquitto: Broker,
    world: World,
    truth: Path,
    **options: Any,  # noqa: ANN401 - any of the config's
) -> tuple[SimulationSummary, VerifyReport]:
    broker = ingest(mosquitto)
    config = configured(mosquitto, at_once=True, **options)
    summary = run_simulation(config, {}, truth, io.StringIO(), part(mosquitto))
    store(world, take(broker))
    return summary, verify(truth, world.url)


def test_every_uplink_of_both_servers_becomes_the_reading_that_it_must(
    mosquitto: Broker, world: World, truth: Path
) -> None:
    summary, report = simulated(mosquitto, world, truth, count=2000, interval_s=600)
    assert (summary.readings, summary.rejected, summary.unacknowledged) == (2000, 0, 0)
    assert (report.ok, report.stored) == (True, 2000), report
    assert world.value("SELECT count(*) FROM device_event") == len(IDS)
    account = world.ledger.account()
    assert account.balanced
    assert (account.total.stored, account.total.duplicates) == (2010, 0)


def test_duplicates_late_ones_malformed_frames_and_lost_connections_change_nothing(
    mosquitto: Broker, world: World, truth: Path
) -> None:
    summary, report = simulated(
        mosquitto, world, truth, count=1500, interval_s=60, faults=EVERY_FAULT
    )
    assert summary.faults["duplicate"] > 200
    assert (report.ok, report.stored) == (True, 1500), report
    assert report.malformed == summary.faults["malformed"] > 100
    account = world.ledger.account()
    assert account.balanced
    assert account.total.duplicates >= summary.faults["duplicate"]


def test_verify_sees_a_weaker_signal_and_a_second_reading_of_a_frame(
    mosquitto: Broker, world: World, truth: Path
) -> None:
    simulated(mosquitto, world, truth, count=100, interval_s=60, faults=Faults(duplicates=0.5))
    world.query("UPDATE sensor_data SET snr = snr - 1 WHERE device_id = %s", IDS[0])
    world.query(
        'UPDATE sensor_data SET "timestamp" = "timestamp" + interval \'1 s\' WHERE device_id = %s',
        IDS[1],
    )
    found = verify(truth, world.url).found
    assert found["different"] >= 10
    assert (found["missing"], found["unknown"]) == (10, 9)


def test_a_command_is_transmitted_executed_once_and_acknowledged_by_both_servers(
    mosquitto: Broker, truth: Path
) -> None:
    """As the command handlers will see it: bytes in, events out."""
    devices = {IDS[0]: ENTRIES[IDS[0]], IDS[1]: ENTRIES[IDS[1]]}
    filters = (*UPLINK_FILTERS, *(f"application/+/device/+/event/{e}" for e in ("txack", "ack")))
    broker = ingest(mosquitto, filters)
    chirpstack, things_stack = devices.values()
    identity = str(uuid4())
    heard: list[BrokerMessage] = []

    async def scenario() -> SimulationSummary:
        stop = asyncio.Event()
        # So seldom that `take` finds a pause.
        config = configured(mosquitto, interval_s=0.8)
        running = asyncio.create_task(
            simulate(config, {}, truth, io.StringIO(), stop, part(mosquitto, devices))
        )
        try:
            # They have subscribed before they publish.
            await asyncio.to_thread(wait_until, lambda: kinds(broker, heard) >= {"up", "v3"})
            await asyncio.to_thread(command, mosquitto, chirpstack, things_stack, identity)
            await asyncio.to_thread(wait_until, lambda: "ack" in kinds(broker, heard))
        finally:
            stop.set()
            summary = await running
        return summary

    summary = asyncio.run(scenario())
    assert summary.downlinks == 2
    executed = [line for line in read_truth(truth) if isinstance(line, DownlinkLine)]
    assert {(line.device, line.item) for line in executed} == {
        (IDS[0], identity),
        (IDS[1], "cmd-1"),
    }
    answers = [
        (message.topic.rpartition("/")[2], json.loads(message.payload)["queueItemId"])
        for message in heard
        if message.topic.endswith("ack")
    ]
    assert answers == [("txack", identity), ("ack", identity)]


def command(mosquitto: Broker, chirpstack: Lorawan, things_stack: Lorawan, identity: str) -> None:
    """Publish one command for each; the same one twice at ChirpStack."""
    secret = Endpoint.parse(mosquitto.user_url(LORAWAN_COMMAND_USER)).password
    one = codec_for(chirpstack.sensor_model).encode("set_interval", {"interval_s": 1})
    other = codec_for(things_stack.sensor_model).encode("set_interval", {"interval_s": 1})
    down = {
        "devEui": chirpstack.dev_eui,
        "id": identity,
        "confirmed": True,
        "fPort": one.f_port,
        "data": base64.b64encode(one.payload).decode(),
    }
    push = {
        "f_port": other.f_port,
        "frm_payload": base64.b64encode(other.payload).decode(),
        "confirmed": True,
        "priority": "NORMAL",
        "correlation_ids": ["cmd-1"],
    }
    topics = (
        f"application/{chirpstack.application}/device/{chirpstack.dev_eui}/command/down",
        f"v3/{things_stack.application}@ttn/devices/{things_stack.network_device_id}/down/push",
    )
    with MqttDevice((mosquitto.host, mosquitto.port), LORAWAN_COMMAND_USER, secret) as commander:
        commander.publish(topics[0], json.dumps(down).encode())
        commander.publish(topics[1], json.dumps({"downlinks": [push]}).encode())


def kinds(broker: MqttBroker, heard: list[BrokerMessage]) -> set[str]:
    """Take what has come meanwhile; return the last words of the topics, and their first ones."""
    heard += take(broker)
    return {word for message in heard for word in message.topic.split("/")}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
