"""LoRaWAN from a network server's event to the row, as an operator sets it up."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import System, wait_until
from mqtt_device import MqttDevice, Refused
from uplink_events import (
    BATTERY,
    CALM,
    DEV_EUI,
    OTHER_EUI,
    chirpstack_event,
    chirpstack_topic,
    things_stack_event,
    things_stack_topic,
)

_LORAWAN = ("--protocol", "lorawan", "--application", "app")


def server(system: System, name: str, password: str | None = None) -> MqttDevice:
    """Connect as a network server."""
    access = system.json("network-server", "show", name)
    host, port = access["mqtt_url"].removeprefix("mqtt://").split(":")
    return MqttDevice((host, int(port)), access["username"], password or access["password"])


def register(system: System, device_id: str, *options: str) -> None:
    done = system.run("device", "add", device_id, *_LORAWAN, *options)
    assert done.returncode == 0, done.stderr


def chirpstack_device(system: System, device_id: str = "pier", *options: str) -> None:
    model = ("--sensor-model", "milesight-em310-tilt")
    eui = ("--network-server", "chirpstack", "--dev-eui", DEV_EUI)
    register(system, device_id, *eui, *model, *options)


def event(payload: bytes = CALM, **members: Any) -> bytes:  # noqa: ANN401 - of an event
    return chirpstack_event(payload, at=datetime.now(UTC), **members)


def refused(system: System, count: int) -> list[dict[str, Any]]:
    """Wait until so many messages are in quarantine; return them, the newest first."""
    wait_until(lambda: len(system.json("quarantine", "list")) == count, 30, "the quarantine")
    entries: list[dict[str, Any]] = system.json("quarantine", "list")
    return entries


def test_uplinks_of_both_servers_are_rows_once_a_frame_and_the_ledger_balances(
    system: System, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.jsonl"
    options = ("--devices", "3", "--lorawan", "10", "--count", "1300", "--interval", "60s")
    faults = ("--duplicates", "0.2", "--late", "0.05", "--malformed", "0.05")
    assert system.simulate(truth, *options, *faults, "--at-once").wait(120) == 0
    account = system.settle()
    system.verify(truth)
    assert system.rows() == 1300
    events = system.count("SELECT count(*) FROM device_event")
    assert (events, account["stored"]) == (10, 1310)
    assert account["duplicates"] > 150
    assert account["in_flight"] == account["dead_lettered"] == 0
    [start] = system.json("device", "events", "sim-lw-0002")
    assert start["detail"] == "the device's status"
    shown = system.json("device", "show", "sim-lw-0002")
    assert shown["lorawan"]["network_server"] == "things-stack"
    assert shown["last_seen"]


def test_uplinks_survive_the_death_of_every_worker(system: System, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    options = ("--devices", "2", "--lorawan", "20", "--count", "4000", "--interval", "100ms")
    publisher = system.simulate(truth, *options, "--disconnects", "0.001")
    wait_until(lambda: system.rows() > 500, 60, "the first rows")
    for name in ("local.worker parsing", "local.worker distributing"):
        system.child(name).kill()
    assert publisher.wait(120) == 0
    system.settle()
    system.verify(truth)


def test_the_same_frame_seconds_later_is_one_row_with_the_better_signal(system: System) -> None:
    chirpstack_device(system)
    with server(system, "chirpstack") as chirpstack:
        chirpstack.publish(chirpstack_topic(), event(rssi=-118, snr=-9))
        wait_until(lambda: system.rows() == 1, 30, "the reading")
        chirpstack.publish(chirpstack_topic(), event(rssi=-70, snr=8.5, gateway="near"))
    account = system.settle()
    assert (account["stored"], account["duplicates"]) == (1, 1)
    signal = "SELECT count(*) FROM sensor_data WHERE (rssi, snr) = (-70, 8.5)"
    assert system.count(signal) == 1


def test_an_uplink_waits_in_quarantine_until_its_device_is_registered(system: System) -> None:
    with server(system, "things-stack") as things_stack:
        things_stack.publish(things_stack_topic(), things_stack_event(at=datetime.now(UTC)))
    [entry] = refused(system, 1)
    assert (entry["reason"], entry["detail"]) == ("unknown_device", DEV_EUI)
    options = ("--network-server", "things-stack", "--sensor-model", "milesight-em310-tilt")
    register(system, "wall", "--dev-eui", DEV_EUI.upper(), *options)
    done = system.run("quarantine", "replay", "--reason", "unknown_device")
    assert "1 became readings" in done.stderr
    wait_until(lambda: system.rows() == 1, 30, "the reading")
    second = system.run("device", "add", "again", *_LORAWAN, "--dev-eui", DEV_EUI, *options)
    assert second.returncode == 1
    assert f"DevEUI {DEV_EUI} is that of device wall already" in second.stderr


def test_an_unknown_model_waits_until_its_codec_is_installed(
    system: System, tmp_path: Path
) -> None:
    """The codec comes as a package of its own, found by its entry point."""
    eui = ("--network-server", "chirpstack", "--dev-eui", DEV_EUI)
    no_codec = system.run("device", "add", "pier", *_LORAWAN, *eui, "--sensor-model", "t1")
    assert no_codec.returncode == 2
    register(system, "pier", *eui, "--sensor-model", "acme-t1", "--without-codec")
    with server(system, "chirpstack") as chirpstack:
        chirpstack.publish(chirpstack_topic(), event(b"\x62\xff\x9c\x03\xe8", f_port=12))
    [entry] = refused(system, 1)
    assert (entry["reason"], entry["device_id"]) == ("unknown_model", "pier")
    install_codec(tmp_path)
    replay = ("quarantine", "replay", "--device", "pier")
    done = system.run(*replay, environment={"PYTHONPATH": str(tmp_path)})
    assert "1 became readings" in done.stderr, done.stderr
    wait_until(lambda: system.rows() == 1, 30, "the reading")
    assert system.json("device", "show", "pier")["tilt_angle"] == -1.0


def install_codec(site: Path) -> None:
    """Install a package as a package manager would leave it."""
    (site / "acme_tilt.py").write_text(
        "import struct\n"
        "from plumbline.codecs.sensors.sample import Sample\n"
        "class AcmeT1:\n"
        "    model, default_f_port, commands = 'acme-t1', 12, ()\n"
        "    def decode(self, payload, f_port):\n"
        "        battery, x, y = struct.unpack('>Bhh', payload)\n"
        "        fields = {'battery_pct': battery, 'tilt_x_deg': x / 100, 'tilt_y_deg': y / 100}\n"
        "        return Sample(model=self.model, fields=fields, tilt_angle_deg=x / 100)\n"
        "CODEC = AcmeT1()\n"
    )
    metadata = site / "acme_tilt_codecs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-tilt-codecs\nVersion: 1\n"
    )
    (metadata / "entry_points.txt").write_text(
        "[plumbline.sensor_codecs]\nacme-t1 = acme_tilt:CODEC\n"
    )


def test_a_device_that_was_disabled_changed_or_replaced(system: System) -> None:
    """A change is seen within 30 seconds."""
    chirpstack_device(system, "pier", "--uplink-interval", "10m")
    assert system.run("device", "disable", "pier").returncode == 0
    with server(system, "chirpstack") as chirpstack:
        chirpstack.publish(chirpstack_topic(), event())
        [entry] = refused(system, 1)
        assert (entry["reason"], entry["device_id"]) == ("disabled_device", "pier")
        assert system.run("device", "enable", "pier").returncode == 0
        changed = system.run("device", "change", "pier", "--dev-eui", OTHER_EUI)
        assert changed.returncode == 0, changed.stderr
        lorawan = system.json("device", "show", "pier")["lorawan"]
        assert (lorawan["dev_eui"], lorawan["uplink_interval_s"]) == (OTHER_EUI, 600)
        new = chirpstack_topic(OTHER_EUI)
        chirpstack.publish(new, event(dev_eui=OTHER_EUI))
        chirpstack.publish(new, event(BATTERY, dev_eui=OTHER_EUI, f_cnt=5))
        wait_until(lambda: system.rows() == 1, 30, "the new sensor's reading")
        wait_until(lambda: len(system.json("device", "events", "pier")) == 1, 30, "its battery")
    [said] = system.json("device", "events", "pier")
    assert said["fields"]["sensor"] == {"battery_pct": 100}
    assert system.settle()["quarantined"] == 1


def test_a_network_servers_password_is_replaced_at_once(system: System) -> None:
    old = system.json("network-server", "show", "chirpstack")["password"]
    with server(system, "chirpstack") as connected:
        new = system.json("network-server", "rotate", "chirpstack")["password"]
        assert new != old
        deadline = time.monotonic() + 10
        while connected.is_alive():
            assert time.monotonic() < deadline, "the connection with the old password lives on"
    with pytest.raises(Refused):
        server(system, "chirpstack", old)
    chirpstack_device(system)
    with server(system, "chirpstack") as chirpstack:
        chirpstack.publish(chirpstack_topic(), event())
    wait_until(lambda: system.rows() == 1, 30, "the reading")
    shown = json.loads(system.run("network-server", "show", "chirpstack", "--json").stdout)
    assert shown["password"] == new
    assert Path(shown["ca_file"]).exists()
