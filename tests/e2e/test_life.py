"""Start, look, stop, start again."""

import json
import stat
import subprocess

import psutil
import pytest

from e2e.conftest import PLUMBLINE, System, wait_until
from mqtt_device import MqttDevice, Refused


@pytest.mark.parametrize("system", [["--demo"]], indirect=True)
def test_a_demo_shows_readings_and_a_balanced_account(system: System) -> None:
    wait_until(lambda: system.rows() >= 20, 60, "rows of 20 devices")
    status = system.json("status")
    assert status["healthy"]
    assert status["servers"] == dict.fromkeys(["broker", "cache", "portal", "database"], True)
    assert {one["function"] for one in status["functions"]} >= {"parsing", "distributing", "db1"}
    assert sum(one["errors"] for one in status["functions"]) == 0
    assert status["broker_journal"] == {"mode": "written", "problem": None}
    account = system.json("ledger", "--devices")
    assert account["balanced"]
    assert account["received"] >= 20
    assert len(account["devices"]) >= 15  # some of the mixture are silent at times
    text = system.run("status").stdout
    assert "ledger    balanced" in text
    assert "journal   acknowledged readings are written first" in text
    assert system.endpoints.portal_username is not None
    lorawan = "SELECT count(DISTINCT device_id) FROM sensor_data WHERE frame IS NOT NULL"
    wait_until(lambda: system.count(lorawan) >= 4, 60, "rows of the LoRaWAN devices")


def test_a_stop_is_clean_and_quick_and_a_start_goes_on(system: System) -> None:
    endpoints_file = system.data_dir / "endpoints.json"
    assert stat.S_IMODE(endpoints_file.stat().st_mode) == 0o600
    password = system.json("device", "add", "tower")["password"]
    before = system.endpoints
    children = psutil.Process(before.pid).children(recursive=True)
    assert system.stop() < 15
    assert not endpoints_file.exists()
    gone, alive = psutil.wait_procs(children, timeout=1)
    assert not alive
    assert len(gone) >= 6
    system.start()
    assert system.endpoints.mqtt_url == before.mqtt_url
    assert [one["device_id"] for one in system.json("device", "list")] == ["tower"]
    assert len(password) == 32


def test_a_second_up_on_the_same_directory_is_refused(system: System) -> None:
    second = subprocess.run(
        [*PLUMBLINE, "--data-dir", str(system.data_dir), "up"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    assert "runs in" in second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_commands_without_a_system_say_what_to_do(system: System) -> None:
    done = system.run("ledger", "--data-dir", str(system.data_dir / "elsewhere"))
    assert done.returncode == 2
    assert "plumbline up" in done.stderr
    assert done.stdout == ""


def test_a_scheduled_function_runs_when_it_is_triggered(system: System) -> None:
    assert json.loads(system.run("trigger", "ingestion", "--json").stdout)["drained"] is True
    assert system.run("trigger", "sync").returncode == 0


def test_a_device_that_is_turned_away_is_counted(system: System) -> None:
    """A publication on a wrong topic is acknowledged to it all the same, and lost."""
    new = system.json("device", "add", "tower")
    host, port = system.endpoints.mqtt_url.removeprefix("mqtt://").split(":")
    with MqttDevice((host, int(port)), "tower", new["password"]) as device:
        device.publish("tilt/bridge/telemetry", b"{}")
    assert system.json("status")["broker_refusals"]["cut_off"] == {"tower": 1}
    assert "cut off   tower, 1 times" in system.run("status").stdout
    system.run("device", "disable", "tower")
    with pytest.raises(Refused):
        MqttDevice((host, int(port)), "tower", new["password"])
    assert system.json("status")["broker_refusals"]["sign_ins"] >= 1
    assert system.rows() == 0
