"""`plumbline --function NAME …`: the command line runs there, and answers here."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from mypy_boto3_s3 import S3Client

from broker_task import URL, empty_bucket
from contract.sqs_emulator import running_sqs_emulator
from plumbline.adapters.mqtt.shared_credentials import SharedCredentials
from plumbline.cli.operate import handler
from plumbline.local.context import LocalContext
from plumbline.topology import TOPOLOGY

FUNCTION = "lambda-tilt-sensor-lab-operate"
CONTEXT = LocalContext(TOPOLOGY.function("operate"), threading.Event())
SERVER = "chirpstack"
INVOCATIONS = f"/2015-03-31/functions/{FUNCTION}/invocations"


class Lambda(BaseHTTPRequestHandler):
    """As much of Lambda as an invocation needs."""

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = self.path == INVOCATIONS
        answer: dict[str, Any] = {"Message": "Function not found"}
        headers = {} if known else {"x-amzn-ErrorType": "ResourceNotFoundException"}
        if known and event["arguments"] == ["device", "show", "crash"]:
            answer = {"errorType": "MemoryError", "errorMessage": "out of memory"}
            headers = {"X-Amz-Function-Error": "Unhandled"}
        elif known:
            answer = handler(event, CONTEXT)
        body = json.dumps(answer).encode()
        self.send_response(200 if known else 404)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture(scope="module")
def emulator_url() -> Iterator[str]:
    with running_sqs_emulator("s3") as url:
        yield url


@pytest.fixture
def s3(emulator_url: str) -> Iterator[S3Client]:
    with empty_bucket(emulator_url) as client:
        yield client


@pytest.fixture
def environment(
    s3: S3Client,
    emulator_url: str,
    database_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[dict[str, str]]:
    """Yield the environment of somebody who may invoke; the function has the databases."""
    del s3
    for name, value in {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "BROKER_PASSWORDS": URL,
        "AWS_ENDPOINT_URL": emulator_url,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    }.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Lambda))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        yield {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{server.server_port}",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }


def plumbline(
    environment: dict[str, str], *arguments: str, function: str = FUNCTION, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "plumbline", "--function", function, *arguments],
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_device_is_added_from_here_and_known_to_the_brokers(
    environment: dict[str, str], s3: S3Client
) -> None:
    added = plumbline(environment, "device", "add", "tower-1", "--json")
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["username"] == "tower-1"
    listed = plumbline(environment, "device", "list")
    assert "tower-1" in listed.stdout
    found = SharedCredentials(URL, s3).fetch(None)
    assert found is not None
    assert found.hashes.keys() == {"tower-1"}
    plumbline(environment, "device", "disable", "tower-1")
    emptied = SharedCredentials(URL, s3).fetch(found)
    assert emptied is not None
    assert emptied.hashes == {}


def test_the_brokers_are_told_again_by_hand(environment: dict[str, str], s3: S3Client) -> None:
    plumbline(environment, "device", "add", "tower-1")
    s3.delete_object(Bucket=URL.split("/")[2], Key=URL.split("/", 3)[3])
    assert plumbline(environment, "device", "publish").returncode == 0
    found = SharedCredentials(URL, s3).fetch(None)
    assert found is not None
    assert found.hashes.keys() == {"tower-1"}


def test_a_password_goes_through_standard_input(environment: dict[str, str]) -> None:
    words = ("user", "add", "ann", "--role", "admin", "--password-stdin")
    done = plumbline(environment, *words, stdin="correct horse battery\n")
    assert (done.returncode, done.stderr) == (0, "added ann, admin\n")


def test_a_network_server_gets_a_password_that_the_brokers_know(
    environment: dict[str, str], s3: S3Client
) -> None:
    assert "has_password False" in plumbline(environment, "network-server", "show", SERVER).stdout
    renewed = plumbline(environment, "network-server", "rotate", SERVER, "--json")
    assert renewed.returncode == 0, renewed.stderr
    access = json.loads(renewed.stdout)
    assert access.keys() == {"username", "password"}
    found = SharedCredentials(URL, s3).fetch(None)
    assert found is not None
    assert found.hashes.keys() == {access["username"]} == {"plumbline-chirpstack"}
    assert "has_password True" in plumbline(environment, "network-server", "show", SERVER).stdout


def test_a_command_is_issued_listed_and_taken_back_from_here(environment: dict[str, str]) -> None:
    plumbline(environment, "device", "add", "tower-1")
    words = ("command", "send", "tower-1", "set_interval", "--param", "interval_s=300", "--json")
    sent = plumbline(environment, *words)
    assert sent.returncode == 0, sent.stderr
    command = json.loads(sent.stdout)
    assert (command["state"], command["issued_by"]) == ("queued", f"cli:{os.environ['LOGNAME']}")
    assert "set_interval" in plumbline(environment, "command", "list", "tower-1").stdout
    assert plumbline(environment, "command", "cancel", command["command_id"]).returncode == 0
    waiting = plumbline(environment, *words, "--wait")
    assert waiting.returncode == 2
    assert "--wait cannot be had there" in waiting.stderr


def test_exit_status_and_messages_are_the_commands_own(environment: dict[str, str]) -> None:
    absent = plumbline(environment, "device", "rotate", "nobody")
    assert (absent.returncode, absent.stdout) == (2, "")
    assert absent.stderr == "plumbline: no MQTT device nobody\n"
    wrong = plumbline(environment, "device", "add")
    assert wrong.returncode == 2
    assert "Missing argument" in wrong.stderr
    helped = plumbline(environment, "device", "--help")
    assert helped.returncode == 0
    assert "Devices and their credentials" in helped.stdout


@pytest.mark.parametrize("command", ["up", "simulate", "package", "--function", "nonsense"])
def test_what_is_no_work_on_the_database_is_refused(command: str) -> None:
    refused = handler({"arguments": [command]}, CONTEXT)
    assert refused["exit_code"] == 2
    assert "cannot be run there" in refused["stderr"]


def test_a_function_that_is_absent_or_fails_is_named(environment: dict[str, str]) -> None:
    absent = plumbline(environment, "device", "list", function="nobody")
    assert absent.returncode == 1
    assert "the function nobody cannot be invoked" in absent.stderr
    failed = plumbline(environment, "device", "show", "crash")
    assert failed.returncode == 1
    assert f"the function {FUNCTION} failed: out of memory" in failed.stderr
