"""Sensor codecs and uplink events: how many a second, in one process."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

from plumbline.codecs.reading_json import decode_payload
from plumbline.codecs.sensors.readings import to_readings
from plumbline.codecs.sensors.registry import codec_for, decode, models
from plumbline.codecs.uplink_event import decode_uplink_event
from plumbline.domain.reading import MAX_AGE, MAX_AHEAD
from plumbline.simulator.device import make_fleet
from plumbline.simulator.lorawan.roster import roster
from plumbline.simulator.lorawan.sender import Sender

_SECONDS = 0.2
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Speed:
    """One line of the table.

    Attributes:
        name: A model, or what else was decoded.
        rate: Calls a second, of the best of a few rounds.
    """

    name: str
    rate: float


def measure() -> list[Speed]:
    """Measure every installed codec of ours with its first vector, and whole events."""
    return [*(_codec(model) for model in models()), *_events()]


def _codec(model: str) -> Speed:
    package = type(codec_for(model)).__module__.rpartition(".")[0]
    vector = json.loads((files(package) / "vectors.json").read_text("utf-8"))[0]
    payload, f_port = bytes.fromhex(vector["bytes_hex"]), vector["f_port"]
    return Speed(model, _rate(lambda: decode(model, f_port, payload)))


def _events() -> list[Speed]:
    """From an event's bytes to the reading, and an MQTT device's message to compare with."""
    now = datetime.now(UTC)
    entries = roster(["sim-1", "sim-2"], 600)
    found = []
    for device_id, entry in entries.items():
        [device] = make_fleet([device_id], "steady", 1, now)
        sender = Sender(device, entry)
        [event] = sender.reading(int(now.timestamp() * 1000), 1, twice=False)

        def whole(
            topic: str = event.topic,
            payload: bytes = event.payload,
            model: str = entry.sensor_model,
        ) -> None:
            uplink = decode_uplink_event(topic, payload).uplink
            sample = decode(model, uplink.f_port, uplink.payload)
            to_readings(sample, uplink, "sim-1", received_at=now)

        found.append(Speed(f"event of {entry.network_server} → reading", _rate(whole)))
    plain = json.dumps({"timestamp": int(now.timestamp()), "tilt_angle": 0.0123}).encode()
    found.append(
        Speed(
            "message of an MQTT device → reading",
            _rate(
                lambda: decode_payload(
                    plain, "sim-1", received_at=now, max_age=MAX_AGE, max_ahead=MAX_AHEAD
                )
            ),
        )
    )
    return found


def _rate(call: Callable[[], object]) -> float:
    best = 0.0
    for _ in range(_ROUNDS):
        calls, began = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < _SECONDS:
            for _ in range(100):
                call()
            calls += 100
        best = max(best, calls / elapsed)
    return best
