"""The bundle that the portal's instances install, installed and started as they do it."""

import hashlib
import os
import re
import ssl
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

import pytest

from plumbline.deployment.portal_bundle import PortalBundle, build_portal_bundle, portal_target
from plumbline.local.servers.ports import free_port

ROOT = Path(__file__).parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
READY_S = 60.0
# Whatever tries to reach an index fails.
OFFLINE = {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[PortalBundle, Path]:
    out = tmp_path_factory.mktemp("portal")
    return build_portal_bundle(ROOT, out, portal_target(PYTHON, "x86_64")), out


@pytest.fixture(scope="module")
def prefix(built: tuple[PortalBundle, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install without an index, and return where."""
    _, out = built
    directory = tmp_path_factory.mktemp("instance")
    subprocess.run(["sha256sum", "--check", "--quiet", "portal.tar.sha256"], cwd=out, check=True)
    subprocess.run(["tar", "-xf", str(out / "portal.tar"), "-C", str(directory)], check=True)
    install = [str(directory / "plumbline-portal" / "install"), "--prefix", str(directory / "opt")]
    for _ in range(2):  # again is safe
        subprocess.run([*install, "--no-service"], cwd="/", env=OFFLINE, check=True)
    return directory / "opt"


def unit(built: tuple[PortalBundle, Path]) -> str:
    with tarfile.open(built[1] / "portal.tar") as archive:
        found = archive.extractfile("plumbline-portal/plumbline-portal.service")
        assert found is not None
        return found.read().decode()


def test_the_same_input_gives_the_same_bytes(
    built: tuple[PortalBundle, Path], tmp_path: Path
) -> None:
    assert build_portal_bundle(ROOT, tmp_path, portal_target(PYTHON, "x86_64")) == built[0]


def test_every_wheel_is_named_with_its_hash(built: tuple[PortalBundle, Path]) -> None:
    with tarfile.open(built[1] / "portal.tar") as archive:
        wheels = {m.name: archive.extractfile(m) for m in archive if m.name.endswith(".whl")}
        stated = archive.extractfile("plumbline-portal/requirements.txt")
        assert stated is not None
        lines = stated.read().decode().splitlines()
        expected = [
            f"./wheels/{Path(name).name} --hash=sha256:{hashlib.sha256(file.read()).hexdigest()}"
            for name, file in wheels.items()
            if file is not None
        ]
    assert sorted(lines) == sorted(expected)
    assert any("plumbline-" in line for line in lines)


def test_it_serves_https_as_its_unit_starts_it_and_stops_at_once(
    built: tuple[PortalBundle, Path], prefix: Path, database_url: str, redis_url: str
) -> None:
    port = free_port()
    text = unit(built).replace("/opt/plumbline", str(prefix)).replace("8443", str(port))
    [command] = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    pairs = " ".join(re.findall(r"^Environment=(.+)$", text, re.MULTILINE)).split()
    environment = dict(pair.split("=", 1) for pair in pairs)
    assert environment["PORTAL_HOST"] == "0.0.0.0"  # noqa: S104 - the load balancer is elsewhere
    process = subprocess.Popen(
        command.split(),
        cwd="/",
        env={
            **environment,
            "PORTAL_HOST": "127.0.0.1",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
        },
    )
    try:
        deadline_s = time.monotonic() + READY_S
        while (status := health(port)) != 200:
            assert process.poll() is None
            assert time.monotonic() < deadline_s, status
            time.sleep(0.05)
    finally:
        process.terminate()
        assert process.wait(15) == 0


def health(port: int) -> int | None:
    """Return the status of /health as the load balancer asks it; None where nobody answers."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # a load balancer verifies no certificate of its targets
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        with urllib.request.urlopen(
            f"https://127.0.0.1:{port}/health", timeout=2, context=context
        ) as answer:
            status: int = answer.status
            return status
    except OSError:
        return None


def test_the_key_is_its_owners_alone(prefix: Path) -> None:
    assert (prefix / "tls" / "key.pem").stat().st_mode & 0o777 == 0o600
