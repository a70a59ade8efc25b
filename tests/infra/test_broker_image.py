"""The broker's image: built from its Dockerfile by buildah, on a Debian by mmdebstrap, and run.

No daemon, no registry: both come with Debian, and ``./test`` installs them.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from broker_task import URL, BrokerTaskProcess, empty_bucket
from command_device import CommandDevice
from contract.sqs_emulator import running_sqs_emulator
from draining import numbered, payloads, take
from e2e.conftest import wait_until
from plumbline.adapters.mqtt.credentials import hash_password
from plumbline.adapters.mqtt.publisher import MqttPublisher
from plumbline.adapters.mqtt.shared_credentials import SharedCredentials
from plumbline.deployment.broker_context import broker_target, build_broker_context
from plumbline.domain.publication import Publication, Published
from plumbline.local.servers.tls_files import TlsFiles

ROOT = Path(__file__).parents[2]
SAVED_S = 20.0
BASE = ROOT / ".cache" / "broker-image-base.tar"


@dataclass(frozen=True, slots=True)
class Image:
    """A built image.

    Attributes:
        root: Its files.
        config: As Docker has it: Env, User, Entrypoint, Healthcheck.
    """

    root: Path
    config: dict[str, Any]


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Yield the image that the Dockerfile makes."""
    assert os.geteuid() == 0, "an image is built and entered as root, as Docker does it"
    directory = Path(tempfile.mkdtemp(prefix="plumbline-image-"))
    directory.chmod(0o755)
    try:
        yield build(directory)
    finally:
        shutil.rmtree(directory)


def build(directory: Path) -> Image:
    """Build the image below the directory, with a store of its own."""
    storage = ["--storage-driver=vfs", f"--root={directory}/store", f"--runroot={directory}/run"]
    buildah = ["buildah", *storage]
    context = build_broker_context(ROOT, directory, broker_target("3.13", "x86_64"))
    run(*buildah, "from", "--name=base", "scratch")
    run(*buildah, "add", "base", str(base()), "/")
    run(*buildah, "commit", "--rm", "base", "localhost/base")
    run(
        *(*buildah, "build", "--isolation=chroot", "--network=host", "--format=docker"),
        *("--build-arg=BASE=localhost/base", "--tag=plumbline-broker", str(context)),
    )
    run(*buildah, "from", "--name=broker", "--pull-never", "localhost/plumbline-broker")
    config = json.loads(run(*buildah, "inspect", "--type=image", "localhost/plumbline-broker"))
    return Image(Path(run(*buildah, "mount", "broker").strip()), config["Docker"]["config"])


def base() -> Path:
    """Return Debian 13 as a tar file, made once."""
    if not BASE.exists():
        BASE.parent.mkdir(exist_ok=True)
        made = BASE.with_suffix(".new.tar")
        run("mmdebstrap", "--variant=minbase", "trixie", str(made))
        made.replace(BASE)
    return BASE


def empty(directory: Path) -> None:
    """Remove what is in it."""
    for path in directory.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def holds(path: Path, text: str) -> bool:
    """Tell whether the file is there with the text in it."""
    return path.exists() and text.encode() in path.read_bytes()


def run(*command: str) -> str:
    """Run a command and return what it prints."""
    assert shutil.which(command[0]), f"{command[0]} is not installed: ./test does it"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-3000:]}"
    return done.stdout


def test_it_runs_the_entry_point_as_no_root_with_its_health_check(image: Image) -> None:
    assert image.config["User"] == "1883:1883"
    assert image.config["Entrypoint"] == ["python3", "-m", "plumbline.broker"]
    assert image.config["Healthcheck"]["Test"][1:] == ["python3", "-m", "plumbline.broker.health"]
    assert list(image.config["ExposedPorts"]) == ["8883/tcp"]


def test_it_holds_the_template_that_plumbline_up_renders(image: Image) -> None:
    for name in ("mosquitto.conf.template", "acl"):
        path = Path("plumbline/adapters/mqtt/config") / name
        assert (image.root / "opt/plumbline" / path).read_bytes() == (
            ROOT / "src" / path
        ).read_bytes()
    assert not (image.root / "etc/mosquitto").exists()


class MakeTask(Protocol):
    """Starts a task of the image, and waits until it is healthy."""

    def __call__(self) -> BrokerTaskProcess: ...


@pytest.fixture
def start(image: Image, tls_files: TlsFiles) -> Iterator[MakeTask]:
    """Return what starts tasks with the same data; d1 may connect."""
    with ExitStack() as stack:
        endpoint_url = stack.enter_context(running_sqs_emulator("s3"))
        client = stack.enter_context(empty_bucket(endpoint_url))
        SharedCredentials(URL, client).publish(lambda: {"d1": hash_password("secret")})
        environment = dict(pair.split("=", 1) for pair in image.config["Env"])

        def make() -> BrokerTaskProcess:
            empty(image.root / "run/plumbline")
            return stack.enter_context(
                BrokerTaskProcess(
                    Path("/data"),
                    endpoint_url,
                    tls_files,
                    {**environment, "BROKER_RUN_DIR": "/run/plumbline", "BROKER_DRAIN_S": "20"},
                    within=["chroot", f"--userspec={image.config['User']}", str(image.root)],
                )
            ).wait_ready()

        yield make
        empty(image.root / "data")


def test_a_task_of_it_takes_readings_and_its_health_check_answers(
    image: Image, start: MakeTask
) -> None:
    user, group = image.config["User"].split(":")
    data_dir = image.root / "data"
    assert (data_dir.stat().st_uid, data_dir.stat().st_gid) == (int(user), int(group))
    task = start()
    with task.connect("d1", "secret") as device:
        assert device.publish_many("tilt/d1/telemetry", numbered(100)) == 100
    assert payloads(take(task.ingest())) == numbered(100)
    task.terminate()
    assert task.wait() == 0
    assert "no_journal" not in task.log()
    assert "should not be run as root" not in task.log()
    assert (data_dir / "slot-0" / "drained").exists()


def test_its_journal_keeps_a_command_as_it_was_through_a_kill(
    image: Image, start: MakeTask
) -> None:
    sent = Publication(
        "tilt/d1/commands", b'{"command_id": "one"}', 600, "tilt/d1/commands/ack", b"\0id"
    )
    task = start()
    saved = image.root / "data" / "slot-0" / "state" / "mosquitto.db"
    with CommandDevice(task.plain_address, "d1", "secret"):
        wait_until(lambda: holds(saved, sent.topic), SAVED_S, "the session in the save")
    with closing(MqttPublisher(task.command_url())) as publisher:
        assert publisher.publish([sent]) == [Published(taken=True)]
    task.kill()
    with CommandDevice(start().plain_address, "d1", "secret") as device:
        told = device.next()
        assert (told.payload, told.response_topic, told.correlation) == (
            sent.payload,
            sent.response_topic,
            sent.correlation,
        )
        assert device.is_quiet()
