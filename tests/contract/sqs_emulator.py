"""An SQS that runs on this machine: LocalStack's, in a Python environment of its own.

It needs versions of libraries that the project does not want; so it is installed from its own lock
file, ``requirements/sqs-emulator.txt``, below ``.cache``, at its first use.
"""

import fcntl
import hashlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from mypy_boto3_sqs import SQSClient

_ROOT = Path(__file__).parents[2]
_LOCK_FILE = _ROOT / "requirements" / "sqs-emulator.txt"
_CACHE_DIR = _ROOT / ".cache"
_HOST = "127.0.0.1"
_REGION = "eu-central-1"
_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 10.0
_POLL_S = 0.05


@contextmanager
def running_sqs_emulator(*services: str) -> Iterator[str]:
    """Start the emulator with SQS, yield its endpoint URL, stop it at the end.

    Args:
        services: Further ones that it shall have: ``s3``, ``secretsmanager``.
    """
    python = _ensure_installed()
    with tempfile.TemporaryDirectory(prefix="plumbline-sqs-") as home:
        port = _free_port()
        log_file = Path(home) / "log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [str(python), "-m", "localstack.runtime.main"],
                cwd=home,
                env=_environment(home, port, ["sqs", *services]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        url = f"http://{_HOST}:{port}"
        try:
            _wait_ready(url, process, log_file)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(_STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


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
        "GATEWAY_LISTEN": f"{_HOST}:{port}",
        "GATEWAY_SERVER": "hypercorn",  # the other one listens on every address
        "LOCALSTACK_HOST": f"{_HOST}:{port}",
        "USE_SSL": "0",
        "SERVICES": ",".join(services),
        "STRICT_SERVICE_LOADING": "1",
        "EAGER_SERVICE_LOADING": "1",
        "SQS_ENDPOINT_STRATEGY": "path",
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }


def _ensure_installed() -> Path:
    """Return the Python of the emulator's environment, made where it is missing."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256(_LOCK_FILE.read_bytes() + version.encode()).hexdigest()[:12]
    directory = _CACHE_DIR / f"sqs-emulator-{key}"
    python = directory / "bin" / "python"
    complete = directory / "complete"
    _CACHE_DIR.mkdir(exist_ok=True)
    with (_CACHE_DIR / "sqs-emulator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(directory, ignore_errors=True)
            requirements = ["--require-hashes", "-r", str(_LOCK_FILE)]
            if uv := shutil.which("uv"):
                _run(uv, "venv", "--quiet", "--python", sys.executable, str(directory))
                _run(uv, "pip", "install", "--quiet", "--python", str(python), *requirements)
            else:
                _run(sys.executable, "-m", "venv", str(directory))
                _run(str(python), "-m", "pip", "install", "--quiet", *requirements)
            complete.touch()
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"the SQS emulator cannot be installed: {' '.join(command)}\n{done.stderr}"
        raise RuntimeError(msg)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_ready(url: str, process: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline_s = time.monotonic() + _START_DEADLINE_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_localstack/health", timeout=1) as answer:  # noqa: S310 - our own http URL
                if json.load(answer)["services"]["sqs"] in {"available", "running"}:
                    return
        except OSError:
            time.sleep(_POLL_S)
    msg = f"the SQS emulator does not start:\n{log_file.read_text('utf-8', 'replace')[-4000:]}"
    raise RuntimeError(msg)
