"""A broker task as its container runs it, and the S3 that it asks for its devices."""

import os
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Final, Self

import boto3
import psutil
from botocore.config import Config
from mypy_boto3_s3 import S3Client

from e2e.conftest import wait_until
from mqtt_device import MqttDevice
from plumbline.adapters.mqtt.configuration import COMMAND_USER, INGEST_USER
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.local.servers.ports import free_port
from plumbline.local.servers.tls_files import TlsFiles

PASSWORDS = {
    "ingest": "ingest-secret",
    "command": "command-secret",
    "lorawan-command": "lorawan-secret",
    "monitor": "monitor:s/ecret",
}
BUCKET = "plumbline-artifacts"
URL = f"s3://{BUCKET}/broker/passwords"
READY_S = 40.0
STOP_S = 40.0
_HOST = "127.0.0.1"
_REGION: Final = "eu-central-1"


def s3_client(endpoint_url: str) -> S3Client:
    """Return a client of the emulator; close it."""
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=_REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator asks for one and checks none
        config=Config(s3={"addressing_style": "path"}),
    )
    return client


@contextmanager
def empty_bucket(endpoint_url: str) -> Iterator[S3Client]:
    """Yield a client with an empty bucket, which is gone at the end."""
    with closing(s3_client(endpoint_url)) as client:
        create_bucket(client)
        yield client
        for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=found["Key"])
        with suppress(client.exceptions.NoSuchBucket):  # asked again, as the answer came late
            client.delete_bucket(Bucket=BUCKET)


def create_bucket(client: S3Client) -> None:
    """Create the bucket."""
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": _REGION})


class BrokerTaskProcess:
    """`python -m plumbline.broker` with a run directory and ports of its own; a context manager.

    Args:
        data_dir: Shared by the tasks of a test.
        endpoint_url: Of the S3 emulator.
        tls_files: Of the TLS listener.
        settings: Over the defaults.
        within: Command that runs another one in an image; without it the task runs here.
    """

    def __init__(
        self,
        data_dir: Path,
        endpoint_url: str,
        tls_files: TlsFiles,
        settings: dict[str, str] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self.plain_address = (_HOST, free_port())
        self._tls = tls_files
        self._run_dir = tempfile.TemporaryDirectory(prefix="plumbline-run-")
        self._log: IO[bytes] = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - closed with the task
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",  # as the image has it
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "BROKER_INGEST_PASSWORD": PASSWORDS["ingest"],
            "BROKER_COMMAND_PASSWORD": PASSWORDS["command"],
            "BROKER_LORAWAN_COMMAND_PASSWORD": PASSWORDS["lorawan-command"],
            "BROKER_MONITOR_PASSWORD": PASSWORDS["monitor"],
            "BROKER_CERTIFICATE": tls_files.certificate_file.read_text("ascii"),
            "BROKER_PRIVATE_KEY": tls_files.key_file.read_text("ascii"),
            "BROKER_PASSWORDS": URL,
            "BROKER_DATA_DIR": str(data_dir),
            "BROKER_RUN_DIR": self._run_dir.name,
            "BROKER_HOST": _HOST,
            "BROKER_PORT": str(self.port),
            "BROKER_PLAIN_PORT": str(self.plain_address[1]),
            **(settings or {}),
        }
        self._python = [*within, "python3"] if within else [sys.executable]
        self._process = subprocess.Popen(
            [*self._python, "-m", "plumbline.broker"],
            env=self.environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def is_healthy(self) -> bool:
        """Ask as the container's health check does."""
        asked = subprocess.run(
            [*self._python, "-m", "plumbline.broker.health"], env=self.environment, check=False
        )
        return asked.returncode == 0

    def wait_ready(self) -> Self:
        """Wait until it is healthy."""
        wait_until(lambda: self.is_healthy() or self.ended(), READY_S, self.log())
        assert not self.ended(), self.log()
        return self

    def ended(self) -> bool:
        """Return whether it has ended."""
        return self._process.poll() is not None

    def terminate(self) -> None:
        """Tell it to stop."""
        self._process.terminate()

    def wait(self) -> int:
        """Wait until it has ended; return its exit status."""
        return self._process.wait(STOP_S)

    def kill(self) -> None:
        """End it and its Mosquitto at once, as when the machine goes."""
        mosquitto = self.mosquitto()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        mosquitto.wait(STOP_S)

    def mosquitto(self) -> psutil.Process:
        """Return its Mosquitto."""
        [child] = psutil.Process(self._process.pid).children()
        return child

    def log(self) -> str:
        """Return what it has written."""
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    def connect(self, device: str, password: str) -> MqttDevice:
        """Connect as a device, over TLS."""
        context = ssl.create_default_context(cafile=self._tls.ca_file)
        return MqttDevice((_HOST, self.port), device, password, tls=context)

    def command_url(self) -> str:
        """Return where the command relay connects, without TLS."""
        host, port = self.plain_address
        return f"mqtt://{COMMAND_USER}:{PASSWORDS['command']}@{host}:{port}"

    def ingest(self) -> MqttBroker:
        """Return the broker as parsing has it."""
        url = f"mqtts://{INGEST_USER}:{PASSWORDS['ingest']}@localhost:{self.port}"
        return MqttBroker(
            url,
            ["tilt/+/telemetry"],
            ca_file=self._tls.ca_file,
            resolve=lambda _host, _port: [_HOST],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self.ended():
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()
        self._run_dir.cleanup()
