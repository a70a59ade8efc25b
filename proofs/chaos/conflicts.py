"""A device that says two different things of one moment, again and again; both must be kept."""

import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psycopg
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from plumbline.codecs.telemetry import TELEMETRY_TOPIC

DEVICE = "torn-1"

_EVERY_S = 0.5
_ACKNOWLEDGED_WITHIN_S = 120.0
_POLL_S = 0.1


@dataclass(eq=False)
class ConflictTraffic(threading.Thread):
    """The device, and its own witness.

    Attributes:
        url: Of the broker.
        password: The device's.
        published: The two angles of each moment; acknowledged when it has stopped.
    """

    url: str
    password: str
    published: dict[datetime, set[float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(name="conflicts", daemon=True)
        self._stopping = threading.Event()
        self._acknowledged = 0

    def run(self) -> None:
        """Publish until stopped; go on until all is acknowledged."""
        address = urlsplit(self.url)
        client = Client(CallbackAPIVersion.VERSION2, client_id=DEVICE, clean_session=False)
        client.username_pw_set(DEVICE, self.password)
        client.reconnect_delay_set(1, 1)
        client.connect_async(str(address.hostname), address.port or 1883, keepalive=5)
        client.on_publish = self._on_acknowledged
        client.loop_start()
        for number in itertools.count():
            if self._stopping.wait(_EVERY_S):
                break
            self._publish(client, number)
        # What is published while there is no connection is sent at the next.
        deadline = time.monotonic() + _ACKNOWLEDGED_WITHIN_S
        while self._acknowledged < self.messages and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if self._acknowledged < self.messages:
            self.problems.append(f"not all messages of {DEVICE} were acknowledged")
        client.disconnect()
        client.loop_stop()

    def stop(self) -> None:
        """End when everything is acknowledged."""
        self._stopping.set()
        self.join()

    @property
    def messages(self) -> int:
        """How many were published."""
        return 2 * len(self.published)

    def _on_acknowledged(self, *_event: object) -> None:
        self._acknowledged += 1

    def _publish(self, client: Client, number: int) -> None:
        now = datetime.now(UTC)
        moment = now.replace(microsecond=now.microsecond // 1000 * 1000)
        angles = [number % 40 / 10, -1 - number % 40 / 10]
        self.published[moment] = set(angles)
        for angle in angles:
            reading = {"timestamp": moment.isoformat(), "tilt_angle": angle, "status": "normal"}
            topic = TELEMETRY_TOPIC.format(device_id=DEVICE)
            client.publish(topic, json.dumps(reading), qos=1)


def judge_conflicts(traffic: ConflictTraffic, database_url: str) -> Iterator[str]:
    """Yield what went wrong: each moment has one row, and the other reading beside it."""
    yield from traffic.problems
    with psycopg.connect(database_url) as connection:
        stored = connection.execute(
            'SELECT "timestamp", tilt_angle FROM sensor_data WHERE device_id = %s', [DEVICE]
        ).fetchall()
        kept = connection.execute(
            "SELECT \"timestamp\", (reading ->> 'tilt_angle')::float8 FROM reading_conflict"
            " WHERE device_id = %s",
            [DEVICE],
        ).fetchall()
    if len(stored) != len(traffic.published):
        yield f"{DEVICE} has {len(stored)} rows of {len(traffic.published)} moments"
    found: defaultdict[datetime, set[float]] = defaultdict(set)
    for moment, angle in [*stored, *kept]:
        found[moment].add(angle)
    for moment, angles in traffic.published.items():
        if found[moment] != angles:
            yield f"{DEVICE} said {sorted(angles)} of {moment}, kept is {sorted(found[moment])}"
