"""From the portal's REST API to the device, through queue, function and broker."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from secrets import token_urlsafe
from statistics import quantiles
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.system import System, running_system
from plumbline.local.device_credentials import devices_of

DEVICES = 200
RATE_PER_S = 50.0
_WARM_UP_S = 2.0
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class CommandLatency:
    """Of commands from the beginning of the request until the device has them, milliseconds.

    Attributes:
        commands: Measured ones.
        missing: That no device had within a minute.
        rate_per_s: Requests a second.
    """

    commands: int
    missing: int
    rate_per_s: float
    p50_ms: float
    p99_ms: float
    longest_ms: float


def measure(duration_s: float = 30.0) -> CommandLatency:
    """Send commands at RATE_PER_S to DEVICES devices that acknowledge at once."""
    arrived: dict[str, float] = {}
    with running_system() as system, ExitStack() as stack:
        ids = [f"bench-{number:03d}" for number in range(DEVICES)]
        registry = devices_of(system.data_dir, system.endpoints.database_url)
        for new in registry.add_many(ids, rotate=True):
            stack.enter_context(_device(system, new.username, new.password, arrived))
        user = ("user", "add", "bench", "--role", "operator", "--password-stdin")
        _plumbline(system, *user, given=token_urlsafe())
        token = _plumbline(system, "token", "add", "bench", "--scope", "write", "--json")
        token = json.loads(token)["token"]
        began = _send(system, token, ids, duration_s)
        deadline = time.perf_counter() + _LONGEST_WAIT_S
        while began.keys() - arrived.keys() and time.perf_counter() < deadline:
            time.sleep(0.05)
    first = min(began.values()) + _WARM_UP_S
    measured = {command_id: at for command_id, at in began.items() if at >= first}
    took_ms = sorted(
        1000 * (arrived[command_id] - at)
        for command_id, at in measured.items()
        if command_id in arrived
    )
    cuts = quantiles(took_ms, n=100)
    missing = len(measured) - len(took_ms)
    return CommandLatency(
        len(measured), missing, len(began) / duration_s, cuts[49], cuts[98], took_ms[-1]
    )


def _send(system: System, token: str, ids: list[str], duration_s: float) -> dict[str, float]:
    """Return when each command's request began, by command id."""
    url = urlsplit(system.endpoints.portal_url)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"command": "identify", "params": {}})
    began: dict[str, float] = {}
    start = time.perf_counter()
    for number in range(int(duration_s * RATE_PER_S)):
        time.sleep(max(0.0, start + number / RATE_PER_S - time.perf_counter()))
        at = time.perf_counter()
        path = f"/api/v1/devices/{ids[number % len(ids)]}/commands"
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 202:
            msg = f"POST {path}: {answer}"
            raise RuntimeError(msg)
        began[answer["command_id"]] = at
    connection.close()
    return began


@contextmanager
def _device(
    system: System, device_id: str, password: str, arrived: dict[str, float]
) -> Iterator[None]:
    subscribed = threading.Event()
    topic = f"tilt/{device_id}/commands"

    def on_message(client: Client, _userdata: object, message: MQTTMessage) -> None:
        command_id = json.loads(message.payload)["command_id"]
        arrived.setdefault(command_id, time.perf_counter())
        answer = json.dumps({"command_id": command_id, "status": "acknowledged"})
        client.publish(f"{topic}/ack", answer, qos=1)

    def subscribe(client: Client, *_: object) -> None:
        client.subscribe(topic, qos=1)

    client = Client(CallbackAPIVersion.VERSION2, device_id, protocol=MQTTProtocolVersion.MQTTv5)
    client.username_pw_set(device_id, password)
    client.on_message = on_message
    client.on_connect = subscribe
    client.on_subscribe = lambda *_: subscribed.set()
    url = urlsplit(system.endpoints.mqtt_url)
    client.connect(url.hostname or "", url.port or 1883)
    client.loop_start()
    try:
        if not subscribed.wait(_LONGEST_WAIT_S):
            msg = f"{device_id} could not subscribe"
            raise RuntimeError(msg)
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def _plumbline(system: System, *arguments: str, given: str | None = None) -> str:
    argv = [sys.executable, "-m", "plumbline", "--data-dir", str(system.data_dir), *arguments]
    done = subprocess.run(argv, input=given, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout
