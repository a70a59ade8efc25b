"""Uplinks of both network servers, and the frames of every sensor model."""

from collections.abc import Collection, Mapping
from datetime import datetime
from random import Random
from uuid import UUID

from fakes import FakeClock
from plumbline.application.known_devices import KnownDevices
from plumbline.application.uplinks import Uplinks
from plumbline.codecs.sensors import registry
from plumbline.codecs.sensors.readings import to_readings
from plumbline.codecs.uplink import Uplink
from plumbline.domain.delivery import DeliveredEvent, DeliveredReading
from plumbline.domain.device import NetworkServer
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading
from plumbline.errors import InvalidPayload
from plumbline.ports import BrokerMessage, LorawanDevice
from proofs.fuzz import payloads
from proofs.fuzz.oracle import outcomes, refused, require_round_trip
from proofs.fuzz.target import Case, Target

_IDENTITY = UUID("0194790b-0000-0000-0000-000000000007")
_FRAME = UUID("6f6d2f0e-4f83-5d7c-9b0e-2f6a52d0c1aa")


class Registry:
    """Devices that are registered, by DevEUI."""

    def __init__(self, devices: Mapping[str, LorawanDevice]) -> None:
        self._devices = devices

    def find(self, dev_euis: Collection[str]) -> Mapping[str, LorawanDevice]:
        """See the port."""
        return {eui: self._devices[eui] for eui in dev_euis if eui in self._devices}


def uplinks_of(server: NetworkServer, now: datetime) -> Target:
    """Return the target of a network server's uplinks: from the topic to the readings."""
    draw = payloads.uplinks(now, server)
    reader = Uplinks(KnownDevices(Registry(payloads.registry()), FakeClock(now)))

    def judge(case: Case) -> list[str]:
        message = BrokerMessage(case.beside, case.payload, 1, now)
        read = reader.read([message], set()).get(0)
        if read is None:
            return ["another topic"]
        found = outcomes(read.entries, now)
        for position, entry in enumerate(read.entries):
            _require_delivered(entry, read.frame_of(position), now)
        return found

    return Target(f"uplinks of {server}", 8, lambda rng: Case(*draw(rng)), judge)


def frames_of(model: str, now: datetime) -> Target:
    """Return the target of a sensor model's frames."""
    draw = payloads.frames(model)

    def make(rng: Random) -> Case:
        f_port, frame = draw(rng)
        return Case(str(f_port), frame)

    def judge(case: Case) -> list[str]:
        f_port = int(case.beside)
        try:
            sample = registry.decode(model, f_port, case.payload)
        except InvalidPayload as refusal:
            return [refused(refusal)]
        uplink = Uplink(
            dev_eui="1000000000000001",
            application="app",
            device_name="pier",
            f_port=f_port,
            f_cnt=7,
            payload=case.payload,
            observed_at=now,
            gateway_id="roof",
            rssi_dbm=-35.0,
            snr_db=11.5,
            deduplication_id=_FRAME.hex,
        )
        entries = to_readings(sample, uplink, payloads.DEVICE, received_at=now)
        found = outcomes(entries, now)
        for entry in entries:
            _require_delivered(entry, _FRAME, now)
        return found

    return Target(model, 1, make, judge)


def _require_delivered(
    entry: Reading | DeviceEvent | InvalidPayload, frame: UUID | None, now: datetime
) -> None:
    if isinstance(entry, Reading):
        require_round_trip(DeliveredReading(entry, _IDENTITY, now, frame))
    elif isinstance(entry, DeviceEvent):
        require_round_trip(DeliveredEvent(entry, _IDENTITY, now, frame or _FRAME))
