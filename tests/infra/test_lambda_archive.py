"""The archive that Lambda gets: its bytes, and its functions at work with an SQS emulator."""

import json
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from mypy_boto3_sqs import SQSClient
from mypy_boto3_sqs.literals import QueueAttributeNameType
from psycopg import sql

from broker_task import URL, empty_bucket
from conftest import Broker
from contract.sqs_emulator import running_sqs_emulator, sqs_client
from mqtt_device import MqttDevice
from packaged_functions import EventSourceMapping, FunctionFailed, PackagedFunction
from plumbline.adapters.mqtt.configuration import INGEST_USER
from plumbline.adapters.mqtt.shared_credentials import SharedCredentials
from plumbline.adapters.postgres.privileges import PRIVILEGES
from plumbline.deployment.lambda_archive import (
    LambdaArchive,
    build_lambda_archive,
    check_size,
    lambda_target,
)
from plumbline.errors import PackagingFailed
from plumbline.local.servers.postgres import SUPERUSER, PostgresServer
from plumbline.topology import TOPOLOGY, Function

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "tests" / "testcases" / "events"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# Each is megabytes, or a second, that no function needs.
HEAVY = {"pyarrow", "starlette", "granian", "rich", "cryptography", "adbc_driver_manager"}
MOST_MODULES = 400
DEVICES, READINGS = 100, 10_000


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An archive for the Python and machine that run the tests."""

    built: LambdaArchive
    archive: Path
    tree: Path


@pytest.fixture(scope="module")
def lambdas(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    out = tmp_path_factory.mktemp("lambdas")
    built = build_lambda_archive(ROOT, out, lambda_target(PYTHON, "x86_64"))
    with zipfile.ZipFile(out / built.archive) as archive:
        archive.extractall(out / "tree")
    return Unpacked(built, out / built.archive, out / "tree")


def run_alone(tree: Path, script: str, environment: dict[str, str] | None = None) -> str:
    """Run a script with the archive and the standard library, and nothing else."""
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(tree)!r})\n{script}",
        ],
        env=environment or {},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_input_gives_the_same_bytes(lambdas: Unpacked, tmp_path: Path) -> None:
    again = build_lambda_archive(ROOT, tmp_path, lambda_target(PYTHON, "x86_64"))
    assert again == lambdas.built
    assert (tmp_path / again.archive).read_bytes() == lambdas.archive.read_bytes()
    with zipfile.ZipFile(lambdas.archive) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        assert archive.namelist() == sorted(archive.namelist())


def test_another_architecture_gets_its_own_wheels(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    built = build_lambda_archive(
        ROOT, tmp_path, lambda_target("3.12", "arm64"), database_ca=ca_file
    )
    with zipfile.ZipFile(tmp_path / built.archive) as archive:
        names = archive.namelist()
        libraries = [archive.read(name)[:20] for name in names if ".so" in Path(name).name]
        assert archive.read("rds-ca.pem") == ca_file.read_bytes()
    machines = {struct.unpack_from("<H", header, 18)[0] for header in libraries}
    assert machines == {183}, "not all are AArch64"
    versions = {part for name in names for part in Path(name).name.split(".") if "cpython-" in part}
    assert {v.partition("-")[2][:3] for v in versions if "linux" in v} == {"312"}


def test_it_holds_what_functions_need_and_no_more(lambdas: Unpacked) -> None:
    top = {path.name for path in lambdas.tree.iterdir()}
    assert top.isdisjoint(HEAVY)
    services = {
        path.name for path in (lambdas.tree / "botocore" / "data").iterdir() if path.is_dir()
    }
    assert services == {"s3", "secretsmanager", "sqs", "sts"}
    assert not (lambdas.tree / "rds-ca.pem").exists()


def test_a_size_beyond_lambdas_limits_is_refused_with_both_numbers(lambdas: Unpacked) -> None:
    check_size(lambdas.built)
    with pytest.raises(PackagingFailed, match=r"51\.0 MiB compressed; Lambda takes 50"):
        check_size(replace(lambdas.built, archive_bytes=51 * 2**20))
    with pytest.raises(PackagingFailed, match=r"250\.5 MiB unpacked; Lambda takes 250"):
        check_size(replace(lambdas.built, unpacked_bytes=int(250.5 * 2**20)))


@pytest.mark.parametrize("function", TOPOLOGY.functions, ids=lambda f: f.name)
def test_a_cold_start_imports_little(lambdas: Unpacked, function: Function) -> None:
    handler = lambdas.built.handlers[function.name]
    module = handler.rpartition(".")[0]
    script = f"import {module}, json\nprint(json.dumps(sorted(sys.modules)))"
    modules = json.loads(run_alone(lambdas.tree, script))
    # Wired at the first event: what is not needed for that is not loaded before.
    unwanted = {*HEAVY, "alembic", "sqlalchemy", "boto3", "psycopg"}
    if function.name != "operate":  # which is the command line
        unwanted.add("click")
    assert {name.partition(".")[0] for name in modules}.isdisjoint(unwanted)
    assert len(modules) < MOST_MODULES


def test_the_codecs_of_all_sensors_are_found(lambdas: Unpacked) -> None:
    script = "from plumbline.codecs.sensors.registry import models\nprint(len(models()))"
    assert int(run_alone(lambdas.tree, script)) == 19


def test_the_services_that_functions_call_are_described(lambdas: Unpacked) -> None:
    script = (
        "import boto3\n"
        "for name in ('s3', 'secretsmanager', 'sqs'):\n"
        "    print(boto3.client(name, region_name='eu-central-1').meta.endpoint_url)\n"
    )
    assert len(run_alone(lambdas.tree, script).split()) == 3


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Yield the URL of an empty database, as the master user of a new cluster has it."""
    admin = postgres_server.database_url("postgres", SUPERUSER)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("CREATE DATABASE deployed")
        yield postgres_server.database_url("deployed", SUPERUSER)
        connection.execute("DROP DATABASE deployed WITH (FORCE)")
        for role in PRIVILEGES:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def test_migrate_makes_the_database_and_operate_works_on_it(
    lambdas: Unpacked, empty_database_url: str, redis_url: str
) -> None:
    """As a newcomer does it: schema and roles, a device, an administrator."""
    with ExitStack() as stack:
        endpoint_url = stack.enter_context(running_sqs_emulator("s3"))
        s3 = stack.enter_context(empty_bucket(endpoint_url))
        owner = {"DATABASE_URL": empty_database_url}
        migrate = stack.enter_context(PackagedFunction(lambdas.tree, "migrate", owner))
        report = migrate.invoke({})
        assert report["applied"][0] == "0001"
        assert report["roles"] == list(PRIVILEGES)
        assert migrate.invoke({})["applied"] == []
        settings = {
            "DATABASE_URL": as_role(empty_database_url, "plumbline_operate"),
            "REDIS_URL": redis_url,
            "BROKER_PASSWORDS": URL,
            "AWS_ENDPOINT_URL": endpoint_url,
        }
        operate = stack.enter_context(PackagedFunction(lambdas.tree, "operate", settings))

        def plumbline(*arguments: str, stdin: str = "") -> dict[str, Any]:
            return operate.invoke({"arguments": arguments, "stdin": stdin})

        added = plumbline("device", "add", "tower-1", "--json")
        assert added["exit_code"] == 0, added
        device = json.loads(added["stdout"])
        found = SharedCredentials(URL, s3).fetch(None)
        assert found is not None
        assert found.hashes.keys() == {"tower-1"}
        word = "correct horse battery"
        user = plumbline("user", "add", "ann", "--role", "admin", "--password-stdin", stdin=word)
        assert (user["exit_code"], user["stderr"]) == (0, "added ann, admin\n")
        assert "ann" in plumbline("user", "list")["stdout"]
        assert plumbline("db", "status")["exit_code"] == 0
        assert plumbline("device", "add", "tower-1")["exit_code"] == 1
        assert plumbline("up")["exit_code"] == 2
        assert word not in operate.log()
        assert device["password"] not in operate.log()


def as_role(url: str, role: str) -> str:
    """Return the URL as that role, which gets a password."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD 'word'").format(sql.Identifier(role)))
    place = urlsplit(url)
    return place._replace(netloc=f"{role}:word@{place.hostname}:{place.port}").geturl()


@dataclass(frozen=True, slots=True)
class Queues:
    """The two queues of the reading path with their dead-letter queues, by URL."""

    client: SQSClient
    distributing: str
    distributing_dlq: str
    db1: str
    db1_dlq: str

    def depth(self, url: str) -> int:
        """Return how many messages the queue holds, in flight or not."""
        answer = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        found = answer["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(
            found["ApproximateNumberOfMessagesNotVisible"]
        )


@pytest.fixture
def queues() -> Iterator[Queues]:
    with running_sqs_emulator() as endpoint_url, ExitStack() as stack:
        client = sqs_client(endpoint_url)
        stack.callback(client.close)
        yield make_queues(client)


def make_queues(client: SQSClient) -> Queues:
    """Create the topology's queues, with a visibility timeout that a test can wait for."""
    urls: dict[str, str] = {}
    for name in ("distributing", "db1"):
        spec = TOPOLOGY.queue(name)
        suffix = ".fifo" if spec.fifo else ""
        fifo: dict[QueueAttributeNameType, str] = {"FifoQueue": "true"} if spec.fifo else {}
        dead = client.create_queue(
            QueueName=spec.dead_letter_queue + suffix,
            Attributes=fifo,
        )
        arn = client.get_queue_attributes(QueueUrl=dead["QueueUrl"], AttributeNames=["QueueArn"])
        policy = {
            "deadLetterTargetArn": arn["Attributes"]["QueueArn"],
            "maxReceiveCount": spec.max_receive_count,
        }
        made = client.create_queue(
            QueueName=spec.name + suffix,
            Attributes={
                "VisibilityTimeout": "3",
                "RedrivePolicy": json.dumps(policy),
                **fifo,
            },
        )
        urls |= {name: made["QueueUrl"], f"{name}_dlq": dead["QueueUrl"]}
    return Queues(client, **urls)


def test_parsing_drains_a_task_that_stops_and_has_left_the_name(
    lambdas: Unpacked, mosquitto: Broker, queues: Queues
) -> None:
    """ECS takes a task out of the name before it tells it to stop, and reports its address."""
    [password] = mosquitto.add_devices("d1").values()
    endpoint = mosquitto.user_url(INGEST_USER).replace("127.0.0.1", "broker.invalid")
    settings = {
        "BROKER_ENDPOINT": endpoint,
        "DISTRIBUTING_QUEUE_URL": queues.distributing,
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


def test_p6_2_10_000_messages_pass_the_packaged_functions_and_sqs_once_each(  # noqa: PLR0913, PLR0917 - its servers
    lambdas: Unpacked,
    mosquitto: Broker,
    database_url: str,
    redis_url: str,
    queues: Queues,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A function dies with a batch, an answer is lost after the commit, two messages are poison."""
    database = {"DATABASE_URL": database_url}
    emulator = {"AWS_ENDPOINT_URL": str(queues.client.meta.endpoint_url)}
    with (
        PackagedFunction(
            lambdas.tree,
            "parsing",
            {
                "BROKER_ENDPOINT": mosquitto.user_url(INGEST_USER),
                "DISTRIBUTING_QUEUE_URL": queues.distributing,
                **emulator,
            },
        ) as parsing,
        PackagedFunction(
            lambdas.tree, "distributing", {"DB1_QUEUE_URL": queues.db1, **emulator}
        ) as distributing,
        PackagedFunction(lambdas.tree, "db1", database) as db1,
        PackagedFunction(lambdas.tree, "sync", {**database, "REDIS_URL": redis_url}) as sync,
    ):
        assert parsing.invoke({})["sessions_created"] == 1
        publish_readings(mosquitto)
        poison(queues)
        to_db1 = EventSourceMapping(
            queues.client, queues.distributing, "distributing", distributing
        )
        to_database = EventSourceMapping(queues.client, queues.db1, "db1", db1)
        began = time.monotonic()
        while not (report := parsing.invoke({}))["drained"] or report["messages"]:
            pass
        run_until_stored(to_db1, to_database, queues, database_url)
        took_s = time.monotonic() - began
        assert sync.invoke({}) == {"devices": DEVICES, "written": DEVICES}

    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT count(*), count(DISTINCT (device_id, timestamp)), count(DISTINCT device_id),"
            " max(tilt_angle) FROM sensor_data"
        ).fetchone()
        doubles = connection.execute("SELECT count(*) FROM reading_duplicate").fetchone()
    assert rows == (READINGS, READINGS, DEVICES, (READINGS // DEVICES - 1) / 1000)
    assert doubles == (0,), "a redelivery is no duplicate of the device's"
    assert queues.depth(queues.distributing_dlq) == 1
    assert queues.depth(queues.db1_dlq) == 1
    assert to_database.partial >= 1
    assert len(to_database.failures) == 1
    with redis.Redis.from_url(redis_url) as cache:
        assert len(list(cache.scan_iter("device:*:status"))) == DEVICES

    requests = {
        "parsing": parsing.requests,
        "mapping distributing": to_db1.requests,
        "distributing": distributing.requests,
        "mapping db1": to_database.requests,
    }
    per_reading = sum(requests.values()) / READINGS
    with capsys.disabled():
        print(f"\n{READINGS} readings in {took_s:.0f} s, {per_reading:.2f} SQS requests each:")  # noqa: T201 - the figure
        print(", ".join(f"{name} {count}" for name, count in requests.items()))  # noqa: T201
    # Ten messages a request: four requests for ten on the FIFO queue's two sides and the sending to
    # db1, and what db1 costs with its batches of 25. More would say that batches are not filled.
    assert 0.4 < per_reading < 0.7


def poison(queues: Queues) -> None:
    """Send what no function can read, before everything else."""
    queues.client.send_message(
        QueueUrl=queues.distributing,
        MessageBody="{}",
        MessageAttributes={"type": {"DataType": "String", "StringValue": "mystery"}},
        MessageGroupId="poisoned",  # else the nine behind it would go with it
        MessageDeduplicationId="poison",
    )
    queues.client.send_message(QueueUrl=queues.db1, MessageBody="not JSON")


def run_until_stored(
    to_db1: EventSourceMapping,
    to_database: EventSourceMapping,
    queues: Queues,
    database_url: str,
) -> None:
    """Poll both queues until they are empty; let a function die, and lose an answer, meanwhile."""
    deadline_s = time.monotonic() + 240
    batches = 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        while queues.depth(queues.distributing) or queues.depth(queues.db1):
            assert time.monotonic() < deadline_s, to_database.failures
            for _ in range(20):
                to_db1.poll()
            while to_database.poll():
                batches += 1
                to_database.function.dies_in_next = batches == 5
                to_database.loses_next_answer = batches == 9
        found = connection.execute("SELECT count(*) FROM sensor_data").fetchone()
    assert found == (READINGS,)
