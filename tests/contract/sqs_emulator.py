"""An SQS that runs on this machine: LocalStack's, in a Python environment of its own.

It needs versions of libraries that the project does not want.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import boto3
from botocore.config import Config
from mypy_boto3_sqs import SQSClient

from emulator_process import HOST, running_emulator
from locked_environment import ensure_environment

_REGION = "eu-central-1"


@contextmanager
def running_sqs_emulator(*services: str) -> Iterator[str]:
    """Start the emulator with SQS, yield its endpoint URL, stop it at the end.

    Args:
        services: Further ones that it shall have: ``s3``, ``secretsmanager``.
    """
    python = ensure_environment("sqs-emulator")
    with running_emulator(
        lambda _: [str(python), "-m", "localstack.runtime.main"],
        lambda home, port: _environment(home, port, ["sqs", *services]),
        "/_localstack/health",
        lambda answer: json.loads(answer)["services"]["sqs"] in {"available", "running"},
    ) as url:
        yield url


def sqs_client(endpoint_url: str) -> SQSClient:
    """Return a client of the emulator; close it."""
    client: SQSClient = boto3.client(
        "sqs",
        endpoint_url=endpoint_url,
        region_name=_REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator asks for one and checks none
        config=Config(retries={"mode": "standard", "max_attempts": 2}),
    )
    return client


def _environment(home: str, port: int, services: Sequence[str]) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "FILESYSTEM_ROOT": f"{home}/files",
        "GATEWAY_LISTEN": f"{HOST}:{port}",
        "GATEWAY_SERVER": "hypercorn",  # the other one listens on every address
        "LOCALSTACK_HOST": f"{HOST}:{port}",
        "USE_SSL": "0",
        "SERVICES": ",".join(services),
        "STRICT_SERVICE_LOADING": "1",
        "EAGER_SERVICE_LOADING": "1",
        "SQS_ENDPOINT_STRATEGY": "path",
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }
