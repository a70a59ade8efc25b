"""What the broker has acknowledged outlives its crash: the journal that it writes before."""

import errno
import json
import os
import random
import shutil
import signal
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest

from command_device import CommandDevice
from conftest import Broker
from draining import create_session, numbered, payloads, take
from mqtt_device import MqttDevice, Refused
from plumbline.adapters.mqtt.configuration import (
    COMMAND_USER,
    INGEST_USER,
    BrokerOptions,
    uplink_filters,
)
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.mqtt.publisher import MqttPublisher
from plumbline.domain.publication import Publication, Published
from plumbline.local.broker_log import read_refusals
from plumbline.local.broker_save import save
from plumbline.local.servers.journal_plugin import build_journal_plugin
from plumbline.local.servers.mosquitto import MosquittoServer
from plumbline.local.servers.privileges import Home
from plumbline.local.servers.process import Launch
from plumbline.local.servers.tls_files import TlsFiles
from plumbline.ports import BrokerMessage

READY_S = 20.0
TOPIC = "tilt/d1/telemetry"
KILLS = 12
NO_SPACE = os.strerror(errno.ENOSPC)

_numbers = count(1)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built plugin."""
    return build_journal_plugin(tmp_path_factory.mktemp("plugin"))


class LimitedServer(MosquittoServer):
    """A broker that cannot write beyond 8,000 bytes into any file."""

    def launch(self, home: Home) -> Launch:
        launch = super().launch(home)
        return replace(launch, argv=["prlimit", "--fsize=8000", "--", *launch.argv])


class MakeBroker(Protocol):
    """Starts a broker with a journal, and with an ingest session that it has saved."""

    def __call__(
        self, options: BrokerOptions, kind: type[MosquittoServer] = MosquittoServer
    ) -> Broker: ...


@pytest.fixture
def make(server_dir: Path, plugin: Path, tls_files: TlsFiles) -> Iterator[MakeBroker]:
    """Return what starts brokers; they end with the test."""
    made: list[MosquittoServer] = []

    def start(options: BrokerOptions, kind: type[MosquittoServer] = MosquittoServer) -> Broker:
        data_dir = server_dir / f"journal-{next(_numbers)}"
        server = kind(data_dir, journal_plugin=plugin, options=options)
        made.append(server)
        server.start()
        server.wait_ready(READY_S)
        create_session(ingest(server))
        save(data_dir)
        return Broker(server, tls_files.ca_file)

    yield start
    for server in made:
        server.stop()
        shutil.rmtree(server.data_dir)


@pytest.fixture
def mosquitto(make: MakeBroker) -> Broker:
    """Return a broker whose journal is written, not synced."""
    return make(BrokerOptions())


def ingest(server: MosquittoServer) -> MqttBroker:
    """Return the drain's side."""
    return MqttBroker(server.user_url(INGEST_USER), uplink_filters())


def drained(mosquitto: Broker) -> list[bytes]:
    """Return all that waits for the drain, and acknowledge it."""
    return payloads(take(ingest(mosquitto.server)))


def crash(mosquitto: Broker, meanwhile: Callable[[Path], None] = lambda _: None) -> None:
    """Kill the broker, do something with its journal, and start it."""
    mosquitto.server.kill()
    meanwhile(journal(mosquitto))
    mosquitto.server.start()
    mosquitto.server.wait_ready(READY_S)


def journal(mosquitto: Broker) -> Path:
    """Return the journal's file."""
    return mosquitto.server.directory / "state" / "uplinks.journal"


def log(mosquitto: Broker) -> str:
    """Return what the broker has logged."""
    path = mosquitto.server.log_path
    assert path is not None
    return path.read_text("utf-8")


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + READY_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def record(generation: int, topic: str, payload: bytes) -> bytes:
    """Return a record of the journal, QoS 1; one without a topic is the mark."""
    fields = struct.pack("<QIHBx", generation, len(payload), len(topic), 1 if topic else 0)
    body = fields + topic.encode() + payload
    return b"PUJ1" + struct.pack("<I", zlib.crc32(body)) + body


def order(
    command_id: str, expires_in_s: int | None, correlation: bytes | None = None
) -> Publication:
    """Return a command for d1."""
    return Publication(
        "tilt/d1/commands",
        json.dumps({"command_id": command_id}).encode(),
        expires_in_s,
        None if correlation is None else "tilt/d1/commands/ack",
        correlation,
    )


def publish(url: str, publications: Sequence[Publication]) -> list[Published]:
    """Publish over MQTT 5, and return what the broker says."""
    publisher = MqttPublisher(url)
    try:
        return publisher.publish(publications)
    finally:
        publisher.close()


class Stream(threading.Thread):
    """A device that publishes numbers, and again what was not acknowledged."""

    def __init__(self, mosquitto: Broker, device_id: str, password: str) -> None:
        super().__init__()
        self.acknowledged = 0
        self.ended = threading.Event()
        self._address = (mosquitto.host, mosquitto.port)
        self._device_id = device_id
        self._password = password

    def run(self) -> None:
        topic = f"tilt/{self._device_id}/telemetry"
        while not self.ended.is_set():
            with (
                suppress(OSError, Refused),
                MqttDevice(self._address, self._device_id, self._password) as device,
            ):
                while not self.ended.wait(0.005):
                    sent = numbered(20, start=self.acknowledged)
                    done = device.publish_many(topic, sent)
                    self.acknowledged += done
                    if done < len(sent):
                        break
            self.ended.wait(0.02)


def test_a_broker_that_is_killed_again_and_again_loses_nothing_acknowledged(
    mosquitto: Broker,
) -> None:
    chance = random.Random(20261123)
    passwords = mosquitto.add_devices("d1", "d2")
    streams = [Stream(mosquitto, *device) for device in passwords.items()]
    taken: dict[str, list[bytes]] = {f"tilt/{name}/telemetry": [] for name in passwords}

    def keep(messages: Sequence[BrokerMessage]) -> None:
        for message in messages:
            taken[message.topic].append(message.payload)

    for stream in streams:
        stream.start()
    try:
        for kill in range(KILLS):
            assert not streams[0].ended.wait(chance.uniform(0.2, 1.2))
            if kill % 3 == 0:
                broker = ingest(mosquitto.server)
                with broker.open(broker.addresses()[0]) as session:
                    batch = session.receive(200, linger_s=1, quiet_s=0.1)
                    session.acknowledge(batch)
                    keep(batch)
            crash(mosquitto)
    finally:
        for stream in streams:
            stream.ended.set()
        for stream in streams:
            stream.join()
    keep(take(ingest(mosquitto.server)))
    for stream, came in zip(streams, taken.values(), strict=True):
        first = list(dict.fromkeys(came))
        assert set(numbered(stream.acknowledged)) <= set(first)
        assert first == numbered(len(first)), "none is missing in between, none came out of order"
        assert stream.acknowledged > 100


def test_what_came_after_the_last_save_comes_once_and_behind_what_was_saved(
    mosquitto: Broker,
) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        device.publish_many(TOPIC, numbered(100))
        save(mosquitto.server.data_dir)
        assert device.publish_many(TOPIC, numbered(100, start=100)) == 100
        crash(mosquitto)
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        device.publish_many(TOPIC, numbered(50, start=200))
    assert drained(mosquitto) == numbered(250)


def test_a_second_crash_before_the_next_save_loses_nothing(mosquitto: Broker) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    for start in (0, 100, 200):
        with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
            assert device.publish_many(TOPIC, numbered(100, start=start)) == 100
            crash(mosquitto)
    assert drained(mosquitto) == numbered(300)


def test_a_stop_in_good_order_publishes_nothing_again(mosquitto: Broker) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        device.publish_many(TOPIC, numbered(100))
    mosquitto.server.stop()
    mosquitto.server.start()
    mosquitto.server.wait_ready(READY_S)
    assert drained(mosquitto) == numbered(100)
    assert "published again" not in log(mosquitto)


def test_a_synced_journal_keeps_as_much(make: MakeBroker) -> None:
    mosquitto = make(BrokerOptions(sync_journal=True))
    password = mosquitto.add_devices("d1")["d1"]
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        assert device.publish_many(TOPIC, numbered(50)) == 50
        crash(mosquitto)
    assert drained(mosquitto) == numbered(50)
    assert "each after it was synced" in log(mosquitto)


def test_qos_0_and_retained_readings_are_kept_too(mosquitto: Broker) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        device.publish_many(TOPIC, [b"unconfirmed"], qos=0)
        device.publish(TOPIC, b"retained", retain=True)
        crash(mosquitto)
    # Once as it waited, and once for the subscription of this drain, which is new.
    assert drained(mosquitto) == [b"unconfirmed", b"retained", b"retained"]


def test_a_command_that_was_acknowledged_waits_for_its_device_after_a_crash(
    mosquitto: Broker,
) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    address = (mosquitto.host, mosquitto.port)
    with CommandDevice(address, "d1", password):
        pass
    save(mosquitto.server.data_dir)
    orders = [order("one", 60, b"\0id"), order("two", None, None)]
    assert publish(mosquitto.user_url(COMMAND_USER), orders) == [Published(taken=True)] * 2
    crash(mosquitto)
    with CommandDevice(address, "d1", password) as device:
        for sent in orders:
            told = device.next()
            assert (told.payload, told.retained) == (sent.payload, False)
            assert (told.response_topic, told.correlation) == (
                sent.response_topic,
                sent.correlation,
            )
        assert device.is_quiet()


def test_a_command_whose_end_came_before_the_broker_did_is_left_out(mosquitto: Broker) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    address = (mosquitto.host, mosquitto.port)
    with CommandDevice(address, "d1", password):
        pass
    save(mosquitto.server.data_dir)
    publish(mosquitto.user_url(COMMAND_USER), [order("short", 1), order("long", 60)])
    over = time.time() + 1.1
    crash(mosquitto, lambda _: wait_for(lambda: time.time() > over))
    with CommandDevice(address, "d1", password) as device:
        assert device.next().command_id == "long"
        assert device.is_quiet()
    assert "1 commands came after the last save, and are over" in log(mosquitto)


def test_a_reading_is_kept_whatever_it_says_of_its_end(mosquitto: Broker) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    url = f"mqtt://d1:{password}@{mosquitto.host}:{mosquitto.port}"
    assert publish(url, [Publication(TOPIC, b"one", expires_in_s=1)]) == [Published(taken=True)]
    over = time.time() + 1.1
    crash(mosquitto, lambda _: wait_for(lambda: time.time() > over))
    assert drained(mosquitto) == [b"one"]


def test_a_last_record_that_was_cut_off_is_left_out(mosquitto: Broker) -> None:
    def cut(path: Path) -> None:
        whole = record(7, "", b"") + record(7, TOPIC, b"one")
        path.write_bytes(whole + record(7, TOPIC, b"two")[:-1])

    crash(mosquitto, cut)
    assert drained(mosquitto) == [b"one"]
    assert "damaged" not in log(mosquitto)
    password = mosquitto.add_devices("d1")["d1"]
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        device.publish(TOPIC, b"next")
        crash(mosquitto)
    assert drained(mosquitto)[-1] == b"next"


@pytest.mark.parametrize("place", [0, 9, 24, 50, 70])
def test_a_damaged_record_is_reported_and_the_others_are_kept(
    mosquitto: Broker, place: int
) -> None:
    records = [record(7, "", b""), *(record(7, TOPIC, payload) for payload in numbered(4))]

    def damage(path: Path) -> None:
        data = bytearray(b"".join(records))
        data[place] ^= 0x40
        path.write_bytes(data)

    crash(mosquitto, damage)
    hit = next(i for i in range(len(records)) if place < sum(map(len, records[: i + 1])))
    assert drained(mosquitto) == [n for i, n in enumerate(numbered(4), 1) if i != hit]
    assert f"{len(records[hit])} bytes between whole records are damaged" in log(mosquitto)
    [kept] = journal(mosquitto).parent.glob("uplinks.journal.damaged-*")
    assert len(kept.read_bytes()) == sum(map(len, records))


def test_what_an_earlier_generation_left_and_what_only_looks_like_records_is_left_alone(
    mosquitto: Broker,
) -> None:
    forged = record(8, "tilt/victim/telemetry", b"forged")
    leftover = record(7, "tilt/d1/telemetry", b"old" + forged)

    def overwrite(path: Path) -> None:
        path.write_bytes(record(9, "", b"") + record(9, TOPIC, b"new" + forged) + leftover[30:])

    crash(mosquitto, overwrite)
    assert drained(mosquitto) == [b"new" + forged]
    assert "damaged" not in log(mosquitto)


def test_what_cannot_be_written_is_not_acknowledged(make: MakeBroker) -> None:
    mosquitto = make(BrokerOptions(), LimitedServer)
    password = mosquitto.add_devices("d1")["d1"]
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        device.publish(TOPIC, b"one")
        assert device.publish_many(TOPIC, [b"x" * 9000, b"behind"]) == 0
        assert not device.is_alive()
    assert refusal(mosquitto) == NO_SPACE  # half of the record was written
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        device.publish(TOPIC, b"two")
    assert refusal(mosquitto) is None
    crash(mosquitto)
    assert drained(mosquitto) == [b"one", b"two"]


def test_where_the_disk_has_no_room_for_the_next_save_nothing_is_acknowledged(
    make: MakeBroker,
) -> None:
    mosquitto = make(BrokerOptions(journal_reserve_bytes=2**60))
    password = mosquitto.add_devices("d1")["d1"]
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        assert device.publish_many(TOPIC, [b"one"]) == 0
    assert refusal(mosquitto) == NO_SPACE
    assert drained(mosquitto) == []


@pytest.mark.parametrize("end", [0, 40, -1])
def test_a_save_that_the_full_disk_cut_off_is_put_back_while_the_broker_runs(
    mosquitto: Broker, end: int
) -> None:
    """Mosquitto renames what it could not write over its last good save, and says nothing."""
    publish_around_a_save(mosquitto)
    saved = mosquitto.server.directory / "state" / "mosquitto.db"
    replace_save(mosquitto, saved.read_bytes()[:end])
    wait_for(lambda: "its last save is put back" in log(mosquitto))
    crash(mosquitto)
    assert drained(mosquitto) == numbered(15)


def test_a_save_that_is_found_empty_is_put_back_before_the_next_start(mosquitto: Broker) -> None:
    """Mosquitto would start with it, and without the session."""
    publish_around_a_save(mosquitto)
    mosquitto.server.kill()
    replace_save(mosquitto, b"")
    mosquitto.server.start()
    assert mosquitto.server.wait(READY_S)
    assert "the one before is put back: start again" in log(mosquitto)
    mosquitto.server.start()
    mosquitto.server.wait_ready(READY_S)
    assert drained(mosquitto) == numbered(15)


def publish_around_a_save(mosquitto: Broker) -> None:
    """Publish ten messages that are in the save, and five that are in the journal alone."""
    password = mosquitto.add_devices("d1")["d1"]
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        device.publish_many(TOPIC, numbered(10))
        save(mosquitto.server.data_dir)
        device.publish_many(TOPIC, numbered(5, start=10))


def replace_save(mosquitto: Broker, content: bytes) -> None:
    """Rename a file with this content over the broker's save, as the broker does."""
    state = mosquitto.server.directory / "state"
    (state / "cut-off").write_bytes(content)
    (state / "cut-off").chmod(0o644)
    (state / "cut-off").replace(state / "mosquitto.db")


def test_a_reload_leaves_the_journal_in_force(mosquitto: Broker) -> None:
    password = mosquitto.add_devices("d1")["d1"]
    assert mosquitto.server.pid is not None
    os.kill(mosquitto.server.pid, signal.SIGHUP)
    with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
        device.publish(TOPIC, b"after")
        crash(mosquitto)
    assert drained(mosquitto) == [b"after"]


def refusal(mosquitto: Broker) -> str | None:
    """Return what `plumbline status` says of the journal."""
    path = mosquitto.server.log_path
    assert path is not None
    return read_refusals(path).journal
