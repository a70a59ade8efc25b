"""Broker tasks that share slots: what one leaves behind, the next one has."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_s3 import S3Client

from broker_task import (
    BUCKET,
    PASSWORDS,
    URL,
    BrokerTaskProcess,
    create_bucket,
    empty_bucket,
)
from contract.sqs_emulator import running_sqs_emulator
from draining import numbered, payloads, take
from e2e.conftest import wait_until
from mqtt_device import Refused
from plumbline.adapters.mqtt.configuration import (
    INGEST_USER,
    MONITOR_USER,
    NETWORK_SERVER_USERS,
    SERVICE_PREFIX,
    SERVICE_USERS,
)
from plumbline.adapters.mqtt.credentials import hash_password
from plumbline.adapters.mqtt.shared_credentials import SharedCredentials
from plumbline.domain.device import NetworkServer
from plumbline.local.servers.journal_plugin import build_journal_plugin
from plumbline.local.servers.tls_files import TlsFiles

EFFECT_S = 15.0
CHIRPSTACK = NETWORK_SERVER_USERS[NetworkServer.CHIRPSTACK]
StartTask = Callable[..., BrokerTaskProcess]


@pytest.fixture(scope="module")
def endpoint_url() -> Iterator[str]:
    with running_sqs_emulator("s3") as url:
        yield url


@pytest.fixture
def s3(endpoint_url: str) -> Iterator[S3Client]:
    """Yield a client with an empty bucket."""
    with empty_bucket(endpoint_url) as client:
        yield client


class Registry:
    """The devices that may connect, published as `device …` does."""

    def __init__(self, client: S3Client) -> None:
        self._credentials = SharedCredentials(URL, client)
        self._hashes: dict[str, str] = {}

    def add(self, device: str) -> str:
        """Add a device; return its password."""
        self._hashes[device] = hash_password(f"{device}-secret")
        self._credentials.publish(lambda: self._hashes)
        return f"{device}-secret"

    def remove(self, device: str) -> None:
        """Let it connect no more."""
        del self._hashes[device]
        self._credentials.publish(lambda: self._hashes)


@pytest.fixture
def registry(s3: S3Client) -> Registry:
    return Registry(s3)


@pytest.fixture(scope="module")
def journal_plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the plugin, as the image has it."""
    return str(build_journal_plugin(tmp_path_factory.mktemp("plugins")))


@pytest.fixture
def start(
    tmp_path: Path, endpoint_url: str, tls_files: TlsFiles, s3: S3Client, journal_plugin: str
) -> Iterator[StartTask]:
    """Yield what starts a task on the slots of this test."""
    del s3  # there is a bucket
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            BrokerTaskProcess(
                tmp_path / "efs",
                endpoint_url,
                tls_files,
                {"BROKER_JOURNAL_PLUGIN": journal_plugin, **settings},
            )
        )


def connects(task: BrokerTaskProcess, device: str, password: str) -> bool:
    try:
        task.connect(device, password).close()
    except Refused:
        return False
    return True


def is_saved(data_dir: Path, payload: bytes) -> bool:
    """Tell whether a task has saved the message; the file is replaced by each save."""
    files = data_dir.glob("slot-*/state/mosquitto.db")
    return any(payload in path.read_bytes() for path in files)


def slot_of(task: BrokerTaskProcess) -> int:
    [line] = [line for line in task.log().splitlines() if "slot_claimed" in line]
    slot: int = json.loads(line)["slot"]
    return slot


def test_the_queue_of_a_killed_task_is_the_next_ones(
    start: StartTask, registry: Registry, tmp_path: Path
) -> None:
    password = registry.add("d1")
    first, second = start().wait_ready(), start().wait_ready()
    assert {slot_of(first), slot_of(second)} == {0, 1}
    with first.connect("d1", password) as device:
        sent = [*numbered(300), b"the last"]
        assert device.publish_many("tilt/d1/telemetry", sent) == len(sent)
    with second.connect("d1", password) as device:
        device.publish("tilt/d1/telemetry", b"second")
    assert not is_saved(tmp_path / "efs", b"the last"), "the journal alone has it"
    first.kill()
    third = start().wait_ready()
    assert slot_of(third) == slot_of(first)
    assert payloads(take(third.ingest())) == sent
    assert payloads(take(second.ingest())) == [b"second"]


def test_without_a_free_slot_a_task_waits_for_one(start: StartTask, registry: Registry) -> None:
    registry.add("d1")
    first = start(BROKER_SLOTS="1").wait_ready()
    second = start(BROKER_SLOTS="1")
    first.terminate()
    assert not second.is_healthy()
    assert first.wait() == 0
    second.wait_ready()
    assert slot_of(second) == slot_of(first) == 0


def test_nothing_published_since_the_first_connection_is_lost(
    start: StartTask, registry: Registry
) -> None:
    """No device can connect before the ingest session exists, and no reload takes its rights."""
    password = registry.add("d1")
    task = start(BROKER_SLOTS="1", BROKER_DRAIN_S="1")
    wait_until(lambda: reachable(task, password), EFFECT_S, "a connection")
    with task.connect("d1", password) as device:
        device.publish("tilt/d1/telemetry", b"0")
    task.terminate()
    assert task.wait() == 0
    again = start(BROKER_SLOTS="1").wait_ready()
    registry.add("d2")  # a reload, before parsing has ever connected
    wait_until(lambda: connects(again, "d2", "d2-secret"), EFFECT_S, "d2")
    with again.connect("d1", password) as device:
        device.publish("tilt/d1/telemetry", b"1")
    assert payloads(take(again.ingest())) == [b"0", b"1"]


def reachable(task: BrokerTaskProcess, password: str) -> bool:
    try:
        return connects(task, "d1", password)
    except OSError:
        return False


def test_changes_of_the_registry_reach_running_tasks_and_disturb_nobody_else(
    start: StartTask, registry: Registry
) -> None:
    kept = registry.add("kept")
    tasks = [start().wait_ready(), start().wait_ready()]
    with tasks[0].connect("kept", kept) as device:
        password = registry.add("new")
        for task in tasks:
            wait_until(lambda task=task: connects(task, "new", password), EFFECT_S, "new")  # type: ignore[misc] # the loop's task
        with tasks[1].connect("new", password) as gone:
            registry.remove("new")
            wait_until(lambda: not gone.is_alive(), EFFECT_S, "cut off")
        assert not connects(tasks[1], "new", password)
        device.publish("tilt/kept/telemetry", b"still here")
    assert payloads(take(tasks[0].ingest())) == [b"still here"]


def test_the_object_in_s3_cannot_change_a_service_user(start: StartTask, s3: S3Client) -> None:
    mine = hash_password("mine")
    SharedCredentials(URL, s3).publish(lambda: {INGEST_USER: mine, "plumbline-other": mine})
    task = start().wait_ready()
    assert not connects(task, INGEST_USER, "mine")
    assert not connects(task, "plumbline-other", "mine")
    assert take(task.ingest()) == []


def test_every_service_user_can_sign_in_and_network_servers_once_they_have_a_password(
    start: StartTask, s3: S3Client
) -> None:
    task = start().wait_ready()
    servers = set(NETWORK_SERVER_USERS.values())
    # Not those two: another connection would end the task's own, and the ingest session.
    for user in set(SERVICE_USERS) - servers - {MONITOR_USER, INGEST_USER}:
        assert connects(task, user, PASSWORDS[user.removeprefix(SERVICE_PREFIX)]), user
    for user in servers:
        assert not connects(task, user, "")
    credentials = SharedCredentials(URL, s3)
    password = credentials.renew(NetworkServer.CHIRPSTACK)
    credentials.publish(dict)
    wait_until(lambda: connects(task, CHIRPSTACK, password), EFFECT_S, "the network server")
    topic = "application/a/device/24e124713c140001/event/up"
    with task.connect(CHIRPSTACK, password) as server:
        server.publish(topic, b"uplink")
        server.publish("application/a/device/24e124713c140001/event/log", b"not drained")
    assert [(m.topic, m.payload) for m in take(task.ingest())] == [(topic, b"uplink")]
    other = credentials.renew(NetworkServer.CHIRPSTACK)
    wait_until(lambda: connects(task, CHIRPSTACK, other), EFFECT_S, "the new password")
    assert not connects(task, CHIRPSTACK, password)


def test_a_stop_sends_devices_away_and_waits_until_the_queue_is_drained(
    start: StartTask, registry: Registry, tmp_path: Path
) -> None:
    password = registry.add("d1")
    task = start().wait_ready()
    with task.connect("d1", password) as device:
        device.publish_many("tilt/d1/telemetry", numbered(50))
        task.terminate()
        wait_until(lambda: not device.is_alive(), EFFECT_S, "cut off")
    assert not connects(task, "d1", password)
    assert not task.ended()
    assert payloads(take(task.ingest())) == numbered(50), "as parsing is told to at once"
    assert task.wait() == 0
    slot = tmp_path / "efs" / f"slot-{slot_of(task)}"
    assert (slot / "drained").exists()


def test_what_a_stop_could_not_wait_for_stays_for_the_next_task(
    start: StartTask, registry: Registry
) -> None:
    password = registry.add("d1")
    task = start(BROKER_DRAIN_S="1").wait_ready()
    with task.connect("d1", password) as device:
        device.publish_many("tilt/d1/telemetry", numbered(50))
    task.terminate()
    assert task.wait() == 0
    other = start(BROKER_SLOTS="3", BROKER_REPORT_EVERY_S="1").wait_ready()
    assert slot_of(other) == slot_of(task)
    assert payloads(take(other.ingest())) == numbered(50)


def test_the_counters_are_metrics(start: StartTask, registry: Registry) -> None:
    password = registry.add("d1")
    task = start(BROKER_REPORT_EVERY_S="1").wait_ready()
    with task.connect("d1", password) as device:
        device.publish_many("tilt/d1/telemetry", numbered(40))

    def metrics() -> list[dict[str, Any]]:
        lines = [line for line in task.log().splitlines() if line.startswith("{")]
        return [found for found in map(json.loads, lines) if "_aws" in found]

    wait_until(
        lambda: any(found.get("BrokerMessagesQueued") == [40.0] for found in metrics()),
        EFFECT_S,
        task.log(),
    )
    found = metrics()
    assert found[0]["IngestSessionsLost"] == [0.0]
    assert sum(m["BrokerMessagesReceived"][0] for m in found if "BrokerMessagesReceived" in m) == 40
    assert {m["BrokerMessagesDropped"][0] for m in found if "BrokerMessagesDropped" in m} == {0.0}
    assert [m["SlotsOrphaned"] for m in found[1:]] == [[0.0]] * (len(found) - 1)
    assert {m["service"] for m in found} == {"broker"}


def test_a_slot_that_nobody_serves_is_counted(
    start: StartTask, registry: Registry, tmp_path: Path
) -> None:
    registry.add("d1")
    first = start().wait_ready()
    second = start(BROKER_REPORT_EVERY_S="1").wait_ready()
    first.kill()
    wait_until(lambda: '"SlotsOrphaned":[1.0]' in second.log(), EFFECT_S, second.log())
    assert (tmp_path / "efs" / f"slot-{slot_of(first)}").exists()


def test_a_session_that_was_lost_is_counted(
    start: StartTask, registry: Registry, tmp_path: Path
) -> None:
    registry.add("d1")
    first = start(BROKER_SLOTS="1").wait_ready()
    first.kill()
    (tmp_path / "efs" / "slot-0" / "state" / "mosquitto.db").unlink(missing_ok=True)
    second = start(BROKER_SLOTS="1").wait_ready()
    assert "ingest_session_lost" in second.log()
    assert '"IngestSessionsLost":[1.0]' in second.log()


def test_a_task_ends_with_its_mosquitto(start: StartTask, registry: Registry) -> None:
    registry.add("d1")
    task = start().wait_ready()
    task.mosquitto().send_signal(signal.SIGKILL)
    assert task.wait() == 1
    assert "mosquitto_ended" in task.log()


def test_without_its_devices_a_task_is_not_healthy(start: StartTask, s3: S3Client) -> None:
    s3.delete_bucket(Bucket=BUCKET)
    try:
        task = start()
        wait_until(lambda: "devices_not_read" in task.log(), EFFECT_S, task.log())
        assert not task.is_healthy()
    finally:
        create_bucket(s3)
    task.wait_ready()
