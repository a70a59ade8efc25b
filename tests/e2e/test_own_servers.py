"""`plumbline up` with servers that are already there."""

import json
from datetime import UTC, datetime
from pathlib import Path

from conftest import Broker
from e2e.conftest import System, wait_until
from mqtt_device import MqttDevice
from plumbline.adapters.mqtt.configuration import INGEST_USER
from plumbline.domain.reading import format_time


def test_the_servers_named_by_url_are_used_and_left_alone(
    data_dir: Path, database_url: str, redis_url: str, mosquitto: Broker
) -> None:
    options = ["--database-url", database_url, "--redis-url", redis_url]
    options += ["--broker-url", mosquitto.user_url(INGEST_USER)]
    system = System(data_dir, options)
    try:
        system.start()
        endpoints = system.endpoints
        assert (endpoints.database_url, endpoints.redis_url) == (database_url, redis_url)
        assert "@" not in endpoints.mqtt_url
        [(device, password)] = mosquitto.add_devices("tower").items()
        members = {"timestamp": format_time(datetime.now(UTC)), "tilt_angle": 1.5}
        with MqttDevice((mosquitto.host, mosquitto.port), device, password) as tower:
            tower.publish("tilt/tower/telemetry", json.dumps(members).encode())
        wait_until(lambda: system.rows() == 1, 30, "the reading")
        assert system.run("status").returncode == 0
        assert not (data_dir / "postgres").exists()
        assert system.stop() < 15
    finally:
        system.kill_all()
    assert mosquitto.server.alive()


def test_a_demo_needs_a_broker_of_its_own(data_dir: Path) -> None:
    system = System(data_dir, [])
    done = system.run("up", "--demo", "--broker-url", "mqtt://u:p@127.0.0.1:1")
    assert done.returncode == 2
    assert "--broker-url" in done.stderr
