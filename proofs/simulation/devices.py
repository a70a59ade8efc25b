"""Devices that publish with QoS 1, and the witness of what they were told."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from plumbline.codecs.reading_json import encode_reading
from plumbline.codecs.telemetry import TELEMETRY_TOPIC
from plumbline.domain.reading import Reading, Status
from plumbline.ports import Clock
from proofs.simulation.broker import SimulatedBroker
from proofs.simulation.time import Process

_INTERVAL_S = 300.0
_RETRY_S = 20.0
_MALFORMED = (b"{", b"[]", b'{"tilt_angle": 1e999}', b'{"tilt_angle": "2"}', b"\xff\xfe", b"{}")


@dataclass(frozen=True, slots=True)
class Published:
    """One message that a device has an acknowledgement for.

    Attributes:
        readings: What it holds, in order; none where it is malformed.
    """

    device_id: str
    payload: bytes
    readings: tuple[Reading, ...]


@dataclass(slots=True)
class Witness:
    """Stands beside the devices and nowhere near the pipeline.

    Attributes:
        acknowledged: In the order of the acknowledgements.
        order: By device, what it handed to the broker first and what later.
    """

    acknowledged: list[Published] = field(default_factory=list)
    order: dict[str, list[Reading]] = field(default_factory=dict)


class SimulatedDevice:
    """One device: the next message is sent when the last one was acknowledged.

    Args:
        number: Of the fleet.
        rng: What it measures, and when.
        clock: Its own.
        broker: Where it publishes; always at the same task.
        witness: Told of each acknowledgement.
        record: Told of what it does.
    """

    def __init__(  # noqa: PLR0913 - a device's whole world
        self,
        number: int,
        *,
        rng: random.Random,
        clock: Clock,
        broker: SimulatedBroker,
        witness: Witness,
        record: Callable[[str], None],
    ) -> None:
        self.device_id = f"tower-{number}"
        self.publishes = True
        addresses = broker.addresses()
        self._address = addresses[number % len(addresses)]
        self._rng = rng
        self._clock = clock
        self._broker = broker
        self._witness = witness
        self._record = record
        self.sequence = 0
        self._last: list[Reading] = []

    def run(self) -> Process:
        """Publish until told to stop."""
        topic = TELEMETRY_TOPIC.format(device_id=self.device_id)
        while self.publishes:
            yield self._rng.uniform(0.5, 1.5) * _INTERVAL_S
            payload, readings = self._next()
            while not self._broker.publish(self._address, topic, payload):
                self._record(f"{self.device_id} hears nothing")
                yield self._rng.uniform(0.5, 1.5) * _RETRY_S
            self._witness.acknowledged.append(Published(self.device_id, payload, readings))
            self._witness.order.setdefault(self.device_id, []).extend(readings)
            self._record(f"{self.device_id} acknowledged {self.sequence}")

    def _next(self) -> tuple[bytes, tuple[Reading, ...]]:
        chance = self._rng.random()
        now = self._clock.now()
        if chance < 0.02:
            return self._rng.choice(_MALFORMED), ()
        if chance < 0.04 and self._last:
            return self._payload(self._last)  # once more
        if chance < 0.06 and self._last:
            return self._payload([self._reading(self._last[-1].observed_at)])  # another value
        if chance < 0.10:
            return self._payload([self._reading(now - timedelta(seconds=s)) for s in (20, 10, 0)])
        if chance < 0.14:
            return self._payload([self._reading(now - timedelta(hours=self._rng.uniform(1, 48)))])
        return self._payload([self._reading(now)])

    def _reading(self, observed_at: datetime) -> Reading:
        self.sequence += 1
        return Reading(
            self.device_id,
            observed_at,
            round(self._rng.gauss(0, 2), 3),
            Status.ALARM if self._rng.random() < 0.05 else Status.NORMAL,
            sequence=self.sequence,
        )

    def _payload(self, readings: list[Reading]) -> tuple[bytes, tuple[Reading, ...]]:
        self._last = readings
        bodies = [encode_reading(reading) for reading in readings]
        text = bodies[0] if len(bodies) == 1 else f"[{','.join(bodies)}]"
        return text.encode(), tuple(readings)
