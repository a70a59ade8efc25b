"""Tektelic SPARROW T0007xxx."""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from plumbline.codecs.sensors.acceleration import tilt_from_vertical_deg
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.frame import refuse, require_frame
from plumbline.codecs.sensors.parameters import require_only, unsupported, whole
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reading import Status

_UPLINK_PORT = 10
_DOWNLINK_PORT = 100
_MAX_UINT32 = 0xFFFF_FFFF

_SECONDS_A_TICK = b"\xa0"
_EVERY_TICK_ACCELERATION = b"\xa4\x00\x01"
_SAVE = b"\xf0\x20\x00"
_RESTART = b"\xf0\x00\x01"


class _Channel(NamedTuple):
    length: int
    read: Callable[[bytes], dict[str, Any]]


def _acceleration(value: bytes) -> dict[str, Any]:
    x, y, z = struct.unpack(">hhh", value)
    return {"acc_x_g": x / 1000, "acc_y_g": y / 1000, "acc_z_g": z / 1000}


def _battery(value: bytes) -> dict[str, Any]:
    return {
        "battery_v": (250 + (value[0] & 0x7F)) / 100,
        "battery_low": bool(value[0] & 0x80),
    }


_CHANNELS = {
    b"\x00\x00": _Channel(1, lambda value: {"acc_alarm": bool(value[0])}),
    b"\x00\x67": _Channel(
        2, lambda value: {"temperature_c": int.from_bytes(value, "big", signed=True) / 10}
    ),
    b"\x00\x71": _Channel(6, _acceleration),
    b"\x00\xba": _Channel(1, _battery),
    b"\x04\x68": _Channel(1, lambda value: {"humidity_pct": value[0] / 2}),
}


class SparrowT0007xxx:
    """Decodes SPARROW T0007xxx frames.

    Measures: acceleration of three axes, in steps of 1 mg.
    Tilt angle: computed, the angle between the z axis and the vertical,
    ``atan2(sqrt(x² + y²), z)``, 0 to 180 degrees. A step is 0.06 degree; an offset of 40 mg,
    common in such sensors, is 2.3 degrees, always in the same direction. There is none while the
    magnitude is not 1 g: the sensor was moving.
    Source: TheThingsNetwork/lorawan-devices, vendor/tektelic,
    decoder_ and encoder_sparrow_enterprise_asset_tracker.js.
    """

    model = "tektelic-sparrow-t0007xxx"
    default_f_port = _UPLINK_PORT
    commands = ("set_interval", "reboot")

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one uplink (port 10): channels of two bytes, each with its value.

        Raises:
            InvalidPayload: Another port, or a channel that is unknown, truncated or repeated.
        """
        require_frame(payload, f_port, _UPLINK_PORT)
        fields: dict[str, Any] = {}
        seen: set[bytes] = set()
        position = 0
        while position < len(payload):
            key = payload[position : position + 2]
            channel = _CHANNELS.get(key)
            if channel is None or key in seen:
                refuse(f"channel {key.hex()} at byte {position} is unknown or repeated")
            seen.add(key)
            value = payload[position + 2 : position + 2 + channel.length]
            if len(value) < channel.length:
                refuse(f"channel {key.hex()} ends after {len(value)} bytes")
            fields.update(channel.read(value))
            position += 2 + channel.length
        return self._sample(fields)

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:
        """Encode a command.

        ``set_interval`` sets the seconds of a tick, on which all periodic reports depend, reports
        the acceleration at every tick, and saves. A restart is sent unconfirmed: confirmed, the
        network repeats it after every restart.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        match command:
            case "set_interval":
                require_only(params, "interval_s")
                seconds = whole(params, "interval_s", 1, _MAX_UINT32).to_bytes(4, "big")
                payload = _SECONDS_A_TICK + seconds + _EVERY_TICK_ACCELERATION + _SAVE
                return Downlink(_DOWNLINK_PORT, payload)
            case "reboot":
                require_only(params)
                return Downlink(_DOWNLINK_PORT, _RESTART, confirmed=False)
        raise unsupported(self.model, command, self.commands)

    def _sample(self, fields: dict[str, Any]) -> Sample:
        tilt = None
        no_tilt = "no acceleration in the frame"
        if "acc_x_g" in fields:
            tilt = tilt_from_vertical_deg(fields["acc_x_g"], fields["acc_y_g"], fields["acc_z_g"])
            no_tilt = "the acceleration is not gravity alone"
        return Sample(
            model=self.model,
            fields=fields,
            tilt_angle_deg=tilt,
            no_tilt=no_tilt if tilt is None else "",
            status=_status(fields),
        )


def _status(fields: dict[str, Any]) -> Status:
    if fields.get("acc_alarm"):
        return Status.ALARM
    return Status.WARNING if fields.get("battery_low") else Status.NORMAL


CODEC: SensorCodec = SparrowT0007xxx()
