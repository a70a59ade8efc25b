"""A command on its whole way: REST or command line, broker, simulated device, and back."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from e2e.conftest import System, wait_until
from portal_process import Client

_WITHIN_S = 60.0
_DEMO = pytest.mark.parametrize("system", [["--demo"]], indirect=True)


def signed_in(system: System) -> Client:
    endpoints = system.endpoints
    assert endpoints.portal_username is not None
    assert endpoints.portal_password is not None
    client = Client(endpoints.portal_url)
    assert client.sign_in(endpoints.portal_username, endpoints.portal_password).status == 200
    return client


def order(client: Client, device_id: str, command: str, **params: Any) -> str:  # noqa: ANN401 - any JSON
    """Send a command over REST; return its id."""
    answer = client.request(
        "POST",
        f"/api/v1/devices/{device_id}/commands",
        json_body={"command": command, "params": params},
        headers={"Idempotency-Key": str(uuid4())},
    )
    assert answer.status == 202, answer.json()
    command_id: str = answer.json()["command_id"]
    return command_id


def ended(client: Client, command_id: str) -> dict[str, Any]:
    """Wait for a command's end; return it."""
    shown: dict[str, Any] = {}

    def is_over() -> bool:
        nonlocal shown
        shown = client.get(f"/api/v1/commands/{command_id}").json()
        return shown["state"] not in {"queued", "sent"}

    wait_until(is_over, _WITHIN_S, f"the end of command {command_id}")
    return shown


@_DEMO
def test_commands_of_rest_reach_devices_of_each_kind_and_come_back(system: System) -> None:
    client = signed_in(system)
    # One behind ChirpStack, one behind The Things Stack: they listen after their next uplink.
    ids = [
        order(client, "demo-01", "identify", duration_s=5),
        order(client, "demo-01", "zero"),
        order(client, "demo-01", "reboot"),
        order(client, "demo-02", "set_interval", interval_s=2),
        order(client, "demo-lw-1", "set_interval", interval_s=10),
        order(client, "demo-lw-2", "set_interval", interval_s=10),
    ]
    shown = [ended(client, command_id) for command_id in ids]
    assert [one["state"] for one in shown] == ["acknowledged"] * len(ids)
    for one in shown:
        assert one["issued_at"] <= one["sent_at"] <= one["acknowledged_at"]
    # One after the other, in the order of their issue.
    acknowledged = [one["acknowledged_at"] for one in shown[:3]]
    assert acknowledged == sorted(acknowledged)
    assert shown[1]["sent_at"] >= shown[0]["acknowledged_at"]
    assert [one["transmitted_at"] is not None for one in shown] == [False] * 4 + [True] * 2
    assert system.json("quarantine", "list") == []


@_DEMO
def test_a_requested_reading_comes_and_the_command_line_waits_for_it(system: System) -> None:
    began = time.monotonic()
    done = system.run("command", "send", "demo-03", "request_reading", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "acknowledged"
    assert time.monotonic() - began < _WITHIN_S


@_DEMO
def test_what_a_device_cannot_do_fails_with_its_reason(system: System) -> None:
    params = ("--param", "min_deg=-1", "--param", "max_deg=1")
    done = system.run("command", "send", "demo-04", "set_threshold", *params, "--wait", "--json")
    assert done.returncode == 1
    failed = json.loads(done.stdout)
    assert failed["state"] == "failed"
    assert "one threshold" in failed["detail"]
    refused = system.run("command", "send", "demo-lw-5", "reboot")
    assert refused.returncode != 0
    assert "radiobridge-rbs306-tilt-hp" in refused.stderr


def test_commands_do_not_disturb_what_verify_compares(system: System, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    options = ("--devices", "2", "--interval", "200ms", "--duration", "12s")
    publisher = system.simulate(truth, *options)
    wait_until(lambda: system.rows() > 4, 60, "the first rows")
    for verb in ("zero", "request_reading", "reboot"):
        done = system.run("command", "send", "sim-0001", verb, "--wait")
        assert done.returncode == 0, done.stderr
    assert publisher.wait(60) == 0
    account = system.settle()
    system.verify(truth)
    assert account["stored"] == system.rows() + 3
    executed = [json.loads(line) for line in truth.read_text().splitlines() if '"command"' in line]
    assert [one["command"] for one in executed] == ["zero", "request_reading", "reboot"]
