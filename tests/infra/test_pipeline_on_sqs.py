"""The packaged functions at work on the queues that Terraform applies."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from applied_queues import AppliedQueues, apply_queues
from conftest import Broker
from contract.sqs_emulator import running_sqs_emulator, sqs_client
from e2e.conftest import wait_until
from mqtt_device import MqttDevice
from packaged_functions import EventSourceMapping, FunctionFailed, PackagedFunction
from plumbline.adapters.mqtt.configuration import COMMAND_USER, INGEST_USER
from plumbline.domain.account import Role
from portal_process import PortalProcess, get_json
from portal_world import add_device, add_readings
from unpacked_archive import ROOT, Unpacked, unpack_archive

EVENTS = ROOT / "tests" / "testcases" / "events"
DEVICES, READINGS = 100, 10_000
FINISH_S = 170.0
# As a device whose readings the database refuses, whatever the reason.
REFUSE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'data_exception'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON sensor_data FOR EACH ROW
    WHEN (NEW.device_id = 'tower-007' AND NEW.tilt_angle = 0) EXECUTE FUNCTION refuse();
"""


@pytest.fixture(scope="module")
def lambdas(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    return unpack_archive(tmp_path_factory.mktemp("lambdas"))


@pytest.fixture(scope="module")
def endpoint_url() -> Iterator[str]:
    with running_sqs_emulator() as url:
        yield url


@pytest.fixture
def queues(endpoint_url: str) -> Iterator[AppliedQueues]:
    with closing(sqs_client(endpoint_url)) as client:
        applied = apply_queues(client)
        yield applied
        for url in applied.urls.values():
            client.delete_queue(QueueUrl=url)


@dataclass(frozen=True, slots=True)
class Deployment:
    """Broker, queues and functions."""

    stack: ExitStack
    tree: Path
    broker: Broker
    queues: AppliedQueues
    database_url: str
    redis_url: str

    def function(self, name: str) -> PackagedFunction:
        """Return a function with the settings that Terraform gives it."""
        database = {"DATABASE_URL": self.database_url}
        distributing = {"DISTRIBUTING_QUEUE_URL": self.queues["distributing"]}
        db1 = {"DB1_QUEUE_URL": self.queues["db1"]}
        settings: dict[str, dict[str, str]] = {
            "parsing": {"BROKER_ENDPOINT": self.broker.user_url(INGEST_USER), **distributing},
            "distributing": db1,
            "db1": database,
            "sync": {**database, "REDIS_URL": self.redis_url},
            "mqtt_command": {
                "BROKER_ENDPOINT": self.broker.user_url(COMMAND_USER),
                **distributing,
            },
            "operate": {**database, **distributing, **db1},
        }
        endpoint = {"AWS_ENDPOINT_URL": str(self.queues.client.meta.endpoint_url)}
        return self.stack.enter_context(
            PackagedFunction(self.tree, name, {**settings[name], **endpoint})
        )

    def mapping(self, queue: str, function: str) -> EventSourceMapping:
        """Return what feeds a function from a queue."""
        return EventSourceMapping(
            self.queues.client, self.queues[queue], queue, self.function(function)
        )


@pytest.fixture
def deployment(
    lambdas: Unpacked, mosquitto: Broker, queues: AppliedQueues, database_url: str, redis_url: str
) -> Iterator[Deployment]:
    with ExitStack() as stack:
        yield Deployment(stack, lambdas.tree, mosquitto, queues, database_url, redis_url)


def test_parsing_drains_a_task_that_stops_and_has_left_the_name(
    lambdas: Unpacked, mosquitto: Broker, queues: AppliedQueues
) -> None:
    """ECS takes a task out of the name before it tells it to stop, and reports its address."""
    [password] = mosquitto.add_devices("d1").values()
    endpoint = mosquitto.user_url(INGEST_USER).replace("127.0.0.1", "broker.invalid")
    settings = {
        "BROKER_ENDPOINT": endpoint,
        "DISTRIBUTING_QUEUE_URL": queues["distributing"],
        "AWS_ENDPOINT_URL": str(queues.client.meta.endpoint_url),
    }
    event = json.loads((EVENTS / "ecs_task_stopping.json").read_text("utf-8"))
    with PackagedFunction(lambdas.tree, "parsing", settings) as parsing:
        with pytest.raises(FunctionFailed, match=r"broker\.invalid does not resolve"):
            parsing.invoke({})
        assert parsing.invoke(event)["sessions_created"] == 1
        with MqttDevice((mosquitto.host, mosquitto.port), "d1", password) as device:
            device.publish("tilt/d1/telemetry", b'{"tilt_angle": 1.5}')
        assert parsing.invoke(event)["messages"] == 1


def test_section_10_2_a_message_passes_the_pipeline_step_by_step(deployment: Deployment) -> None:
    queues = deployment.queues
    [password] = deployment.broker.add_devices("tower-1").values()
    parsing = deployment.function("parsing")
    parsing.invoke({})
    at = datetime.now(UTC).replace(microsecond=0)
    reading = {"timestamp": at.isoformat(), "tilt_angle": 1.25, "status": "warning"}
    with MqttDevice((deployment.broker.host, deployment.broker.port), "tower-1", password) as tower:
        tower.publish("tilt/tower-1/telemetry", json.dumps(reading).encode())
    assert parsing.invoke({})["readings"] == 1
    [sent, _receipt] = queues.bodies("distributing")
    assert (sent["device_id"], sent["tilt_angle"]) == ("tower-1", 1.25)
    assert deployment.mapping("distributing", "distributing").poll() == 2
    assert queues.depth("distributing") == 0
    assert sent in queues.bodies("db1")
    assert deployment.mapping("db1", "db1").poll() == 2
    assert queues.depth("db1") == 0
    with psycopg.connect(deployment.database_url) as connection:
        rows = connection.execute(
            'SELECT device_id, "timestamp", tilt_angle, status FROM sensor_data'
        ).fetchall()
    assert rows == [("tower-1", at, 1.25, "warning")]


def test_section_10_2_a_command_passes_from_the_portal_to_the_device_and_back(
    deployment: Deployment, tmp_path: Path
) -> None:
    queues, broker = deployment.queues, deployment.broker
    [password] = broker.add_devices("tower-1").values()
    add_device(deployment.database_url, "tower-1")
    parsing = deployment.function("parsing")
    parsing.invoke({})
    settings = {
        "MQTT_COMMAND_QUEUE_URL": queues["mqtt-command"],
        "LORAWAN_COMMAND_QUEUE_URL": queues["lorawan-command"],
        "DISTRIBUTING_QUEUE_URL": queues["distributing"],
        "DB1_QUEUE_URL": queues["db1"],
        "AWS_ENDPOINT_URL": str(queues.client.meta.endpoint_url),
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    portal = PortalProcess(
        deployment.database_url, deployment.redis_url, tmp_path / "log", settings
    )
    with portal, MqttDevice((broker.host, broker.port), "tower-1", password) as tower:
        tower.subscribe("tilt/tower-1/commands")
        client = portal.signed_in(Role.OPERATOR)
        issued = client.request(
            "POST",
            "/api/v1/devices/tower-1/commands",
            json_body={"command": "identify", "params": {}},
            headers={"Idempotency-Key": "k1"},
        ).json()
        wait_until(lambda: queues.depth("mqtt-command") == 1, 10, "the relay")
        to_broker = deployment.mapping("mqtt-command", "mqtt_command")
        assert to_broker.poll() == 1
        assert queues.depth("mqtt-command") == 0
        [(topic, payload)] = tower.messages(10)
        command = json.loads(payload)
        assert (topic, command["command"]) == ("tilt/tower-1/commands", "identify")
        assert command["command_id"] == issued["command_id"]

        to_db1 = deployment.mapping("distributing", "distributing")
        to_database = deployment.mapping("db1", "db1")
        work_off(to_db1, to_database)
        path = f"/api/v1/commands/{issued['command_id']}"
        assert client.get(path).json()["state"] == "sent"
        answer = {"command_id": issued["command_id"], "status": "acknowledged"}
        tower.publish("tilt/tower-1/commands/ack", json.dumps(answer).encode())
        assert parsing.invoke({})["answers"] == 1
        work_off(to_db1, to_database)
        assert client.get(path).json()["state"] == "acknowledged"
        token = portal.api_token(Role.ADMIN, "read")
        bearer = portal.client(headers={"Authorization": f"Bearer {token}"})
        found = get_json(bearer, "/api/v1/ledger")
        assert (found["balanced"], found["approximate"], found["stored"]) == (True, True, 1)


def test_section_10_2_what_is_stored_is_in_the_cache_with_its_life(deployment: Deployment) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    add_readings(deployment.database_url, "tower-1", [now - timedelta(minutes=5), now])
    assert deployment.function("sync").invoke({}) == {"devices": 1, "written": 1}
    with redis.Redis.from_url(deployment.redis_url) as cache:
        status = json.loads(cache.get("device:tower-1:status") or b"")
        assert (status["device_id"], status["current_status"]) == ("tower-1", "normal")
        assert datetime.fromisoformat(status["last_seen"]) == now
        assert 290 < cache.ttl("device:tower-1:status") <= 300
        assert 590 < cache.ttl("stats:fleet") <= 600


def work_off(*mappings: EventSourceMapping) -> None:
    """Poll until nothing comes from any of them."""
    while sum([mapping.poll() for mapping in mappings]):
        pass


def test_p6_2_10_000_messages_pass_the_packaged_functions_and_sqs_once_each(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """A function dies with a batch, an answer is lost after the commit, messages are poison.

    One of them is a reading, which is sent again from the dead-letter queue when the reason for
    its failure is gone.
    """
    queues = deployment.queues
    parsing, operate = deployment.function("parsing"), deployment.function("operate")
    to_db1 = deployment.mapping("distributing", "distributing")
    to_database = deployment.mapping("db1", "db1")
    with psycopg.connect(deployment.database_url, autocommit=True) as connection:
        connection.execute(REFUSE)
        assert parsing.invoke({})["sessions_created"] == 1
        publish_readings(deployment.broker)
        poison(queues)
        began = time.monotonic()
        while not (report := parsing.invoke({}))["drained"] or report["messages"]:
            pass
        underway = run_until_stored(to_db1, to_database, operate, queues)
        took_s = time.monotonic() - began
        assert max(found["in_flight"] for found in underway) > 0

        assert summary(connection) == (READINGS - 1, READINGS - 1, DEVICES)
        assert queues.depth("distributing-dlq") == 1
        assert queues.depth("db1-dlq") == 2
        assert to_database.partial >= 1
        assert len(to_database.failures) == 1
        ended = account(operate)
        assert (ended["stored"], ended["in_flight"]) == (READINGS - 1, 0)
        assert ended["dead_lettered"] == 1

        connection.execute("DROP TRIGGER refuse ON sensor_data")
        redrive(queues, "db1")
        work_off(to_database)
        assert summary(connection) == (READINGS, READINGS, DEVICES)
        doubles = connection.execute("SELECT count(*) FROM reading_duplicate").fetchone()
        assert doubles == (0,), "a redelivery is no duplicate of the device's"
        settled = account(operate)
        assert (settled["stored"], settled["dead_lettered"]) == (READINGS, 0)

    requests = {
        "parsing": parsing.requests,
        "mapping distributing": to_db1.requests,
        "distributing": to_db1.function.requests,
        "mapping db1": to_database.requests,
    }
    per_reading = sum(requests.values()) / READINGS
    with capsys.disabled():
        print(f"\n{READINGS} readings in {took_s:.0f} s, {per_reading:.2f} SQS requests each:")  # noqa: T201 - the figure
        print(", ".join(f"{name} {count}" for name, count in requests.items()))  # noqa: T201
    # Ten messages a request: four requests for ten on the FIFO queue's two sides and the sending to
    # db1, and what db1 costs with its batches of 25. More would say that batches are not filled.
    assert 0.4 < per_reading < 0.7


def account(operate: PackagedFunction) -> dict[str, Any]:
    """Return the account, as `plumbline ledger` gives it in the deployment; it must agree."""
    answer = operate.invoke({"arguments": ["ledger", "--json"]})
    found: dict[str, Any] = json.loads(answer["stdout"])
    assert answer["exit_code"] == 0, (answer["stderr"], found)
    assert found["approximate"]
    assert found["received"] <= READINGS
    return found


def summary(connection: psycopg.Connection[Any]) -> Any:  # noqa: ANN401 - a row
    return connection.execute(
        "SELECT count(*), count(DISTINCT (device_id, timestamp)), count(DISTINCT device_id)"
        " FROM sensor_data"
    ).fetchone()


def publish_readings(broker: Broker) -> None:
    """Publish READINGS readings of DEVICES devices, all acknowledged."""
    passwords = broker.add_devices(*(f"tower-{number:03}" for number in range(DEVICES)))
    start = datetime.now(UTC) - timedelta(hours=1)
    for device, password in passwords.items():
        payloads = [
            json.dumps(
                {
                    "timestamp": (start + timedelta(seconds=number)).isoformat(),
                    "tilt_angle": number / 1000,
                    "status": "alarm" if number == READINGS // DEVICES - 1 else "normal",
                    "battery_level": 80,
                }
            ).encode()
            for number in range(READINGS // DEVICES)
        ]
        with MqttDevice((broker.host, broker.port), device, password) as client:
            assert client.publish_many(f"tilt/{device}/telemetry", payloads) == len(payloads)


def poison(queues: AppliedQueues) -> None:
    """Send what no function can read, before everything else."""
    queues.client.send_message(
        QueueUrl=queues["distributing"],
        MessageBody="{}",
        MessageAttributes={"type": {"DataType": "String", "StringValue": "mystery"}},
        MessageGroupId="poisoned",  # else the nine behind it would go with it
        MessageDeduplicationId="poison",
    )
    queues.client.send_message(QueueUrl=queues["db1"], MessageBody="not JSON")


def redrive(queues: AppliedQueues, name: str) -> None:
    """Send the reading among the dead letters again, and purge the rest."""
    dead = queues[f"{name}-dlq"]
    letters = queues.client.receive_message(
        QueueUrl=dead, MaxNumberOfMessages=10, MessageAttributeNames=["All"], WaitTimeSeconds=1
    )["Messages"]
    for letter in letters:
        if letter.get("MessageAttributes"):
            queues.client.send_message(
                QueueUrl=queues[name],
                MessageBody=letter["Body"],
                MessageAttributes=letter["MessageAttributes"],
            )
        queues.client.delete_message(QueueUrl=dead, ReceiptHandle=letter["ReceiptHandle"])


def run_until_stored(
    to_db1: EventSourceMapping,
    to_database: EventSourceMapping,
    operate: PackagedFunction,
    queues: AppliedQueues,
) -> list[dict[str, Any]]:
    """Poll both queues until they are empty; let a function die, and lose an answer, meanwhile.

    Returns:
        The account at several moments on the way.
    """
    deadline_s = time.monotonic() + FINISH_S
    batches = rounds = 0
    accounts = []
    while queues.depth("distributing") or queues.depth("db1"):
        assert time.monotonic() < deadline_s, to_database.failures
        for _ in range(20):
            to_db1.poll()
        while to_database.poll():
            batches += 1
            to_database.function.dies_in_next = batches == 5
            to_database.loses_next_answer = batches == 9
        rounds += 1
        if rounds % 8 == 0:
            accounts.append(account(operate))
    return accounts
