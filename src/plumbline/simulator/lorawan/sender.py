"""One simulated LoRaWAN device: what it sends, and what it does with what it hears."""

import json
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from plumbline.domain.device import Lorawan, NetworkServer
from plumbline.domain.reason import Reason
from plumbline.simulator.device import Device
from plumbline.simulator.faults import DUPLICATE, MALFORMED_FAULT
from plumbline.simulator.lorawan.chirpstack import ChirpStack
from plumbline.simulator.lorawan.radio import (
    GATEWAYS,
    LATE_GATEWAY,
    Downlink,
    Reception,
    Transmission,
    reception,
    receptions,
)
from plumbline.simulator.lorawan.sensors import BY_NAME
from plumbline.simulator.lorawan.things_stack import ThingsStack
from plumbline.simulator.malformed import Refused
from plumbline.simulator.noise import uniform
from plumbline.simulator.payload import moment
from plumbline.simulator.plan import Publication, Schedule

_MICROSECONDS_STREAM = 421
_DELAY_STREAM = 422
_KIND_STREAM = 423
_LOSS_STREAM = 424
_LATE_S = (0.2, 3.0)

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

MALFORMED_FRAMES: tuple[tuple[Refused, Callable[[bytes], bytes]], ...] = (
    (Refused("truncated-frame", Reason.INVALID_FRAME), lambda payload: payload[:-1]),
    (Refused("trailing-byte", Reason.INVALID_FRAME), lambda payload: payload + b"\x00"),
)
"""Frames that must be refused: what each is for, and how it is made of a good one."""


class Sender:
    """A device at its network server.

    Attributes:
        device: What it measures.
        server: Its network server, as far as it is about this device.
        schedule: When it measures; a command may change its step. None before it begins.
        queue: Downlinks that wait for its next uplink.
        pending: One that waits for the device's acknowledgement, and whether it was heard.
    """

    def __init__(self, device: Device, entry: Lorawan) -> None:
        is_chirpstack = entry.network_server is NetworkServer.CHIRPSTACK
        self.device = device
        self.server = (ChirpStack if is_chirpstack else ThingsStack)(device.device_id, entry)
        self.schedule: Schedule | None = None
        self.queue: deque[Downlink] = deque()
        self.pending: tuple[Downlink, bool] | None = None
        self._model = BY_NAME[entry.sensor_model]
        self._f_cnt = 0
        self._f_cnt_down = 0
        self._last_heard = -1
        self._joins = 0

    def reading(self, at_ms: int, index: int, *, twice: bool) -> list[Publication]:
        """Return the event of one measurement; with ``twice`` that of a slow gateway, too.

        Both must become one reading, at the first one's time and with the best signal of all.
        """
        del index  # the frame counter counts all frames, and starts again
        device, f_cnt = self.device, self._next_f_cnt()
        frame = self._model.measure(device.measure(at_ms), f_cnt)
        at = self._moment(at_ms)
        heard = receptions(device, at_ms)
        late = (reception(device, at_ms, LATE_GATEWAY),) if twice else ()
        best = max(heard + late, key=lambda one: (one.snr_db, one.rssi_dbm))
        said: dict[str, Any] = {
            "device_id": device.device_id,
            "timestamp": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            **frame.reading,
            "rssi": best.rssi_dbm,
            "snr": best.snr_db,
            "sequence": f_cnt,
            "sensor_model": self._model.name,
            "f_port": self._model.f_port,
            "sensor": frame.sensor,
        }
        expected = _ENCODER.encode(said).encode()
        events = [self._uplink(at, f_cnt, frame.payload, heard)]
        if late:
            low, high = _LATE_S
            delay_s = low + (high - low) * uniform(device.seed, at_ms, _DELAY_STREAM)
            later = at + timedelta(milliseconds=round(delay_s * 1000))
            events.append(self._uplink(later, f_cnt, frame.payload, late))
        return [
            Publication(device.device_id, topic, payload, faults, expected=expected)
            for (topic, payload), faults in zip(events, ((), (DUPLICATE,)), strict=False)
        ]

    def malformed(self, at_ms: int) -> Publication:
        """Return an event whose frame must be refused."""
        device, f_cnt = self.device, self._next_f_cnt()
        choice = int(uniform(device.seed, at_ms, _KIND_STREAM) * len(MALFORMED_FRAMES))
        kind, spoil = MALFORMED_FRAMES[choice]
        frame = self._model.measure(device.measure(at_ms), f_cnt)
        topic, payload = self._uplink(
            self._moment(at_ms), f_cnt, spoil(frame.payload), receptions(device, at_ms)
        )
        return Publication(
            device.device_id, topic, payload, (MALFORMED_FAULT, kind.name), malformed=kind
        )

    def start(self, at_ms: int) -> list[Publication]:
        """Return what comes when the device is switched on: its join, and a frame without angle."""
        f_port, payload = self._model.start
        messages = self.server.joined(self._address)
        messages.append(
            self._uplink(
                self._moment(at_ms),
                self._next_f_cnt(),
                payload,
                receptions(self.device, at_ms),
                f_port,
            )
        )
        return [
            Publication(self.device.device_id, topic, payload, witnessed=False)
            for topic, payload in messages
        ]

    def transmit(self, downlink: Downlink) -> str:
        """Give the downlink its counter; return the gateway that sends it."""
        downlink.f_cnt = self._f_cnt_down
        self._f_cnt_down += 1
        return GATEWAYS[0]

    def loses(self, downlink: Downlink, fraction: float) -> bool:
        """Tell whether the device does not hear the downlink."""
        return uniform(self.device.seed, downlink.f_cnt, _LOSS_STREAM) < fraction

    def hear(self, downlink: Downlink) -> bool:
        """Do what the downlink says, once: a counter that it has heard already is a repetition.

        Returns:
            Whether it was new.
        """
        if downlink.f_cnt <= self._last_heard:
            return False
        self._last_heard = downlink.f_cnt
        interval_s = self._model.interval_s(downlink.f_port, downlink.payload)
        if interval_s and self.schedule is not None:
            self.schedule.step_ms = interval_s * 1000
        return True

    def restarts_by(self, downlink: Downlink) -> bool:
        """Tell whether the downlink makes the device join anew; its counters start again then."""
        if (downlink.f_port, downlink.payload) != self._model.reboot:
            return False
        self._joins += 1
        self._f_cnt = self._f_cnt_down = 0
        self._last_heard = -1
        return True

    @property
    def _address(self) -> str:
        return f"{(self.device.seed + self._joins) & 0x01FF_FFFF | 0x0200_0000:08x}"

    def _next_f_cnt(self) -> int:
        f_cnt = self._f_cnt
        self._f_cnt += 1
        return f_cnt

    def _moment(self, at_ms: int) -> datetime:
        fraction = uniform(self.device.seed, at_ms, _MICROSECONDS_STREAM)
        return moment(at_ms) + timedelta(microseconds=int(1000 * fraction))

    def _uplink(
        self,
        at: datetime,
        f_cnt: int,
        payload: bytes,
        heard: tuple[Reception, ...],
        f_port: int | None = None,
    ) -> tuple[str, bytes]:
        return self.server.uplink(
            Transmission(
                at=at,
                address=self._address,
                f_cnt=f_cnt,
                f_port=f_port or self._model.f_port,
                payload=payload,
                receptions=heard,
                old=bool(self.device.seed & 1),
            )
        )
