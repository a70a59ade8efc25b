"""The portal's start, and what it writes while it lives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from portal_process import PortalProcess

_RIGHT = {"DATABASE_URL": "postgresql://u@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("DATABASE_URL", ""),
        ("REDIS_URL", ""),
        ("REDIS_URL", "http://127.0.0.1"),
        ("PORTAL_PORT", "70000"),
        ("PORTAL_WORKERS", "many"),
        ("PORTAL_RATE_LIMIT", "-1"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named_and_nothing_started(
    setting: str, value: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plumbline.portal"],
        env={"PATH": os.environ["PATH"], **_RIGHT, setting: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert setting.lower() in done.stderr.lower()


def test_every_line_that_it_writes_is_json(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Also of the server's own, of warnings, and of an answer that failed."""
    with PortalProcess(database_url, redis_url, tmp_path / "log") as running:
        client = running.signed_in("viewer")
        assert client.get("/api/v1/devices").status == 200
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE device_status RENAME TO device_status_away")
            failed = client.get("/api/v1/devices")
            connection.execute("ALTER TABLE device_status_away RENAME TO device_status")
        assert failed.status == 500
        assert b"device_status" not in failed.body, "what went wrong inside stays inside"
        running.client().sign_in("viewer", "a wrong password")
    lines = [json.loads(line) for line in running.log.splitlines()]
    events = [line["event"] for line in lines]
    assert {"request", "request_failed"} <= set(events)
    assert "device_status" in next(x for x in lines if x["event"] == "request_failed")["traceback"]


def test_workers_end_with_the_server_that_started_them(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """However it dies: they would go on answering, and nobody would stop them."""
    log = tmp_path / "log"
    with PortalProcess(database_url, redis_url, log, {"PORTAL_WORKERS": "2"}) as running:
        server = psutil.Process(running.pid)
        workers = server.children(recursive=True)
        assert len(workers) >= 2
        server.kill()
        _, left = psutil.wait_procs(workers, timeout=10)
        for worker in left:
            worker.kill()
        assert not left
