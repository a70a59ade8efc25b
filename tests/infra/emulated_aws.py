"""The AWS API on this machine, and the lab applied to it."""

import json
import resource
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from emulator_process import running_emulator
from infra.terraform_command import Terraform
from locked_environment import ensure_environment

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

REGION = "us-east-1"
ACCOUNT_ID = "123456789012"

_TESTS = Path(__file__).parents[1]
_DOMAIN_NAME = "tilt.example.com"
_HEALTH = "/moto-api/"
_CALL_DEADLINE_S = 60
# The provider waits seconds between its looks at what AWS takes minutes for.
_PARALLELISM = "-parallelism=30"
_KEY = "test"


@dataclass(slots=True)
class Deployment:
    """The lab, as Terraform applies it to the emulator.

    Attributes:
        took_s: Seconds of each step so far.
    """

    terraform: Terraform
    url: str
    took_s: dict[str, float] = field(default_factory=dict)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run Terraform against the emulator; the exit status is the caller's to look at."""
        began_s = time.monotonic()
        done = self.terraform.run(*command, "-no-color", "-input=false", environment=self._settings)
        self.took_s[command[0]] = time.monotonic() - began_s
        return done

    def apply(self) -> subprocess.CompletedProcess[str]:
        """Make everything, from whatever is there."""
        return self.run("apply", "-auto-approve", _PARALLELISM)

    def destroy(self) -> subprocess.CompletedProcess[str]:
        """Remove everything."""
        return self.run("destroy", "-auto-approve", _PARALLELISM)

    def resources(self) -> list[str]:
        """Return the addresses of what Terraform knows to exist."""
        done = self.terraform.run("state", "list")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    @contextmanager
    def permissions_enforced(self) -> Iterator[None]:
        """From here on, calls need permission, also those that were allowed before."""
        self._authorise("0")
        try:
            yield
        finally:
            self._authorise("inf")

    def sqs_as(self, role: str) -> "SQSClient":
        """Return a client with a role's credentials, got while permissions are not enforced."""
        sts = _session().client("sts", endpoint_url=self.url)
        given = sts.assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/{role}", RoleSessionName="test"
        )["Credentials"]
        return boto3.client(
            "sqs",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def _authorise(self, free_calls: str) -> None:
        request = urllib.request.Request(  # noqa: S310 - our own http URL
            f"{self.url}/moto-api/reset-auth",
            data=free_calls.encode(),
            headers={"Content-Type": "text/plain"},  # as a form, it would not be read
        )
        with urllib.request.urlopen(request, timeout=_CALL_DEADLINE_S):  # noqa: S310 - likewise
            pass

    @property
    def _settings(self) -> Mapping[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _KEY,
        }


def _session() -> boto3.Session:
    return boto3.Session(aws_access_key_id=_KEY, aws_secret_access_key=_KEY, region_name=REGION)


@contextmanager
def running_aws() -> Iterator[str]:
    """Start the emulator and yield its URL."""
    python = ensure_environment("aws-emulator")
    with running_emulator(
        lambda port: [str(python), "-m", "infra.aws_emulator", str(port)],
        lambda home, port: {
            "HOME": home,
            "PYTHONPATH": str(_TESTS),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MOTO_PORT": str(port),
            # The policies of AWS itself, which one role has attached.
            "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
            "MOTO_ACM_VALIDATION_WAIT": "0",
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _KEY,
        },
        _HEALTH,
        bool,
    ) as url:
        yield url


def prepare(terraform: Terraform, url: str) -> Deployment:
    """Write what the lab needs beside its configuration: packages, a hosted zone, its variables."""
    packages = terraform.directory / "tests" / "packages"
    (packages / "lambdas.zip").write_bytes(b"no function runs")
    (packages / "portal.tar").write_bytes(b"no instance starts")
    zone = (
        _session()
        .client("route53", endpoint_url=url)
        .create_hosted_zone(Name=_DOMAIN_NAME, CallerReference="test")
    )
    variables = {
        "domain_name": _DOMAIN_NAME,
        "hosted_zone_id": zone["HostedZone"]["Id"].rpartition("/")[2],
        "broker_image_tag": "0.1.0",
        "lambda_package": "tests/packages/lambdas.json",
        "portal_package": "tests/packages/portal.json",
    }
    (terraform.directory / "lab.auto.tfvars.json").write_text(json.dumps(variables), "utf-8")
    return Deployment(terraform, url)


def largest_child_mb() -> float:
    """Return the most memory that a child of this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
