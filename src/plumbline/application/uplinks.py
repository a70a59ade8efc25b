"""Uplinks of LoRaWAN devices: whose they are, and what their sensors say."""

from collections.abc import Mapping, MutableSet, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias
from uuid import UUID, uuid5

from plumbline.application.known_devices import KnownDevices
from plumbline.codecs.sensors import registry
from plumbline.codecs.sensors.readings import to_readings
from plumbline.codecs.sensors.sample import Sample
from plumbline.codecs.uplink import Reception, Uplink, best_reception
from plumbline.codecs.uplink_event import UplinkEvent, decode_uplink_event, is_uplink
from plumbline.domain.delivery import SAME_FRAME_WITHIN, UNATTRIBUTED
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload
from plumbline.ports import BrokerMessage, LorawanDevice

Entry: TypeAlias = Reading | DeviceEvent | InvalidPayload


@dataclass(frozen=True, slots=True)
class ReadUplink:
    """What became of one uplink.

    Attributes:
        device_id: Whose it is, or UNATTRIBUTED.
        entries: What it holds, in order; empty while nobody can tell whose it is.
        frame: Names the radio frame, however often it comes; None where it could not be read.
    """

    device_id: str = UNATTRIBUTED
    entries: Sequence[Entry] = field(default_factory=tuple)
    frame: UUID | None = None

    def frame_of(self, position: int) -> UUID | None:
        """Return what makes the entry at the position one with those of other receptions.

        None for a reading with a time of the device's own, which is the same at each reception.
        """
        entry = self.entries[position]
        if self.frame is None or isinstance(entry, InvalidPayload):
            return None
        if entry.sequence is not None:
            return self.frame
        return uuid5(self.frame, str(position)) if isinstance(entry, DeviceEvent) else None


class Uplinks:
    """Reads the uplinks of a batch.

    Args:
        devices: The registered ones.
    """

    def __init__(self, devices: KnownDevices) -> None:
        self._devices = devices

    def read(
        self, messages: Sequence[BrokerMessage], held: MutableSet[str]
    ) -> dict[int, ReadUplink]:
        """Read those of the messages that are uplinks, by their index.

        A device that nobody can be asked for while the registry cannot serve is held: this uplink
        has no entries, nor has any later one as long as the DevEUI is in ``held``, so that none
        overtakes another.

        Args:
            messages: In the order of receipt.
            held: DevEUIs; gets the new ones.
        """
        read: dict[int, ReadUplink] = {}
        events: dict[int, UplinkEvent] = {}
        for index, message in enumerate(messages):
            if is_uplink(message.topic):
                try:
                    events[index] = decode_uplink_event(message.topic, message.payload)
                except InvalidPayload as refusal:
                    read[index] = ReadUplink(entries=[refusal.as_result()])
        if not events:
            return read
        found = self._devices.find({event.uplink.dev_eui for event in events.values()})
        held |= found.unknown_yet
        good: dict[int, tuple[UplinkEvent, LorawanDevice]] = {}
        for index, event in events.items():
            dev_eui = event.uplink.dev_eui
            # QoS 0, which no broker of ours hands over, cannot be held: it is there only once.
            if dev_eui in held and messages[index].packet_id:
                read[index] = ReadUplink()
            elif (device := found.devices.get(dev_eui)) is None:
                read[index] = ReadUplink(entries=[InvalidPayload(Reason.UNKNOWN_DEVICE, dev_eui)])
            elif (mixed_up := _refusal(event, device)) is not None:
                read[index] = ReadUplink(device.device_id, [mixed_up])
            else:
                good[index] = event, device
        uplinks = _one_time_a_frame({index: event.uplink for index, (event, _) in good.items()})
        for index, (_, device) in good.items():
            read[index] = _read(uplinks[index], device, messages[index].received_at)
        return read


def _refusal(event: UplinkEvent, device: LorawanDevice) -> InvalidPayload | None:
    if device.disabled:
        return InvalidPayload(Reason.DISABLED_DEVICE)
    contradiction = event.contradiction(device.lorawan)
    if contradiction is not None:
        return InvalidPayload(Reason.REGISTRY_MISMATCH, contradiction)
    return None


def _read(uplink: Uplink, device: LorawanDevice, received_at: datetime) -> ReadUplink:
    model = device.lorawan.sensor_model
    entries: Sequence[Entry]
    try:
        if uplink.payload and uplink.f_port:
            sample = registry.decode(model, uplink.f_port, uplink.payload)
        else:
            sample = Sample(model=model, fields={}, no_tilt="no application data")
        entries = to_readings(sample, uplink, device.device_id, received_at=received_at)
    except InvalidPayload as refusal:
        entries = [refusal.as_result()]
    return ReadUplink(device.device_id, entries, UUID(hex=uplink.deduplication_id))


def _one_time_a_frame(uplinks: Mapping[int, Uplink]) -> dict[int, Uplink]:
    """Give all receptions of a frame the time of the first and the best signal of all."""
    groups: dict[str, list[list[int]]] = {}
    for index, uplink in uplinks.items():
        of_frame = groups.setdefault(uplink.deduplication_id, [])
        first = None if not of_frame else uplinks[of_frame[-1][0]].observed_at
        if first is not None and abs(uplink.observed_at - first) <= SAME_FRAME_WITHIN:
            of_frame[-1].append(index)
        else:
            of_frame.append([index])
    merged = dict(uplinks)
    for group in (group for of_frame in groups.values() for group in of_frame if len(group) > 1):
        best = best_reception(
            Reception(one.gateway_id, one.rssi_dbm, one.snr_db)
            for one in (uplinks[index] for index in group)
        )
        for index in group:
            merged[index] = replace(
                uplinks[index],
                observed_at=uplinks[group[0]].observed_at,
                gateway_id=best.gateway_id,
                rssi_dbm=best.rssi_dbm,
                snr_db=best.snr_db,
            )
    return merged
