"""The devices of a system as a process outside it, whose truth file is the witness."""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.conftest import System
from plumbline.domain.account import Role, Scope
from plumbline.local.device_credentials import devices_of
from portal_process import open_accounts


@contextmanager
def simulated_devices(
    system: System,
    device_ids: Sequence[str],
    truth: Path,
    options: Mapping[str, Any],
    url: str | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Register devices and let them publish; begins when all are connected.

    Args:
        system: That they report to.
        device_ids: New ones.
        truth: The witness's file; its name with other suffixes takes configuration and log.
        options: Of the simulation.
        url: Where they connect, instead of the broker's own address.
    """
    registry = devices_of(system.data_dir, system.endpoints.database_url)
    passwords = {new.username: new.password for new in registry.add_many(list(device_ids))}
    config = truth.with_suffix(".json")
    config.touch(0o600)
    config.write_text(
        json.dumps(
            {
                "url": url or system.endpoints.mqtt_url,
                "credentials": passwords,
                "truth": str(truth),
                "options": dict(options),
            }
        )
    )
    with truth.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "plumbline.simulator", "--config", str(config)],
            stdout=log,
            stderr=log,
        )
    try:
        _wait_connected(process, truth)
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_connected(devices: "subprocess.Popen[bytes]", truth: Path) -> None:
    """Wait for the truth file's first line, which is written when all are connected."""
    while not truth.exists() or not truth.stat().st_size:
        if devices.poll() is not None:
            log = truth.with_suffix(".log").read_text("utf-8", "replace")
            msg = f"the devices ended: {log[-500:]}"
            raise RuntimeError(msg)
        time.sleep(0.1)


def operator_token(system: System, name: str) -> str:
    """Return an API token of a new operator of that name."""
    endpoints = system.endpoints
    with open_accounts(endpoints.database_url, endpoints.redis_url) as accounts:
        accounts.add(name, secrets.token_urlsafe(24), Role.OPERATOR)
        return accounts.add_token(name, "", [Scope.READ, Scope.WRITE], 30 * 86_400).secret
