"""The archive that Lambda gets: its bytes, what it holds, and what its functions load."""

import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from broker_task import URL, empty_bucket
from contract.sqs_emulator import running_sqs_emulator
from packaged_functions import PackagedFunction
from plumbline.adapters.mqtt.shared_credentials import SharedCredentials
from plumbline.adapters.postgres.privileges import PRIVILEGES
from plumbline.deployment.lambda_archive import (
    build_lambda_archive,
    check_size,
    lambda_target,
)
from plumbline.errors import PackagingFailed
from plumbline.local.servers.postgres import SUPERUSER, PostgresServer
from plumbline.topology import TOPOLOGY, Function
from unpacked_archive import PYTHON, ROOT, Unpacked, unpack_archive

# Each is megabytes, or a second, that no function needs.
HEAVY = {"pyarrow", "starlette", "granian", "rich", "cryptography", "adbc_driver_manager"}
MOST_MODULES = 400


@pytest.fixture(scope="module")
def lambdas(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    return unpack_archive(tmp_path_factory.mktemp("lambdas"))


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
        sent = plumbline("command", "send", "tower-1", "identify", "--json")
        assert (sent["exit_code"], json.loads(sent["stdout"])["state"]) == (0, "queued")
        assert plumbline("command", "list", "tower-1")["exit_code"] == 0
        renewed = plumbline("network-server", "rotate", "chirpstack", "--json")
        assert json.loads(renewed["stdout"])["password"] not in operate.log()
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
