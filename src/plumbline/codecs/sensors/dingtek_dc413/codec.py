"""Dingtek DC413."""

import struct
from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.frame import (
    refuse,
    require_frame,
    require_length,
    require_within,
)
from plumbline.codecs.sensors.parameters import require_only, unsupported, whole
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reading import Status
from plumbline.errors import UnsupportedCommand

_PORT = 3
_HEAD, _TAIL = 0x80, 0x81
_DEVICE_TYPE = 1
_DATA = struct.Struct(">5sHBbBBBBHBB")
_PARAMETERS_LENGTH = 25
_MEASUREMENTS = (1, 2)
_PARAMETERS = (3,)
_POSITIVE, _NEGATIVE = 0, 1
_LOW_NIBBLE = 0x0F
_HOUR_S = 3600


class Dc413:
    """Decodes DC413 frames; those of a DF702 have the same layout and header.

    Measures: absolute angle, in whole degrees, with a sign.
    Tilt angle: that angle.
    The vendor's decoder prints every angle as negative; here the sign byte decides, 00 for
    positive and 01 for negative, which is what the decoder's source means to say. It has not been
    confirmed on a device.
    Source: TheThingsNetwork/lorawan-devices, vendor/dingtek/dc413-codec.yaml and df702.js.
    """

    model = "dingtek-dc413"
    default_f_port = _PORT
    commands = ("set_interval", "set_threshold")

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one uplink (port 3): a measurement (17 bytes) or the parameters (25 bytes).

        Raises:
            InvalidPayload: Another port, head, tail, device type, length or kind, or a sign byte
                that is neither 00 nor 01.
        """
        require_frame(payload, f_port, _PORT)
        require_length(payload, _DATA.size, _PARAMETERS_LENGTH)
        if payload[0] != _HEAD or payload[-1] != _TAIL:
            refuse(f"not between {_HEAD:02x} and {_TAIL:02x}")
        if payload[2] != _DEVICE_TYPE:
            refuse(f"device type {payload[2]:02x}, expected {_DEVICE_TYPE:02x}")
        if payload[4] != len(payload):
            refuse(f"length byte {payload[4]}, but {len(payload)} bytes")
        kinds, read = (
            (_MEASUREMENTS, self._measurement)
            if len(payload) == _DATA.size
            else (_PARAMETERS, self._parameters)
        )
        if payload[3] not in kinds:
            refuse(f"kind {payload[3]:02x} with {len(payload)} bytes is not defined")
        return read(payload)

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:
        """Encode a command: ASCII hex digits.

        ``set_interval``: ``interval_s``, whole hours, 1 to 168. ``set_threshold``:
        ``threshold_deg``, whole degrees, 15 to 90.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        match command:
            case "set_interval":
                require_only(params, "interval_s")
                hours, rest = divmod(whole(params, "interval_s", _HOUR_S, 168 * _HOUR_S), _HOUR_S)
                if rest:
                    msg = f"interval_s: whole hours, multiples of {_HOUR_S}"
                    raise UnsupportedCommand(msg)
                return _setting(1, hours)
            case "set_threshold":
                require_only(params, "threshold_deg")
                return _setting(4, whole(params, "threshold_deg", 15, 90))
        raise unsupported(self.model, command, self.commands)

    def _measurement(self, payload: bytes) -> Sample:
        _, level, _, temperature, sign, angle, alarms, more_alarms, counter, _, _ = _DATA.unpack(
            payload
        )
        if sign not in (_POSITIVE, _NEGATIVE):
            refuse(f"sign {sign:02x} is neither 00 nor 01")
        require_within("temperature_c", temperature, -60, 127)
        require_within("tilt_deg", angle, 0, 180)
        alarm_tilt, alarm_battery = bool(more_alarms >> 4), bool(more_alarms & _LOW_NIBBLE)
        fields = {
            "level_mm": level,
            "temperature_c": temperature,
            "tilt_deg": -angle if sign == _NEGATIVE else angle,
            "alarm_level": bool(alarms >> 4),
            "alarm_fire": bool(alarms & _LOW_NIBBLE),
            "alarm_tilt": alarm_tilt,
            "alarm_battery": alarm_battery,
            "frame_counter": counter,
        }
        status = Status.NORMAL
        if alarm_tilt:
            status = Status.ALARM
        elif alarms or alarm_battery:
            status = Status.WARNING
        return Sample(
            model=self.model, fields=fields, tilt_angle_deg=fields["tilt_deg"], status=status
        )

    def _parameters(self, payload: bytes) -> Sample:
        return Sample(
            model=self.model,
            fields={
                "firmware": f"{payload[5]}.{payload[6]}",
                "report_interval_s": payload[7] * _HOUR_S,
                "detect_interval_s": payload[8] * 60,
                "level_threshold_cm": payload[9],
                "tilt_threshold_deg": payload[11],
                "tilt_alarm_enabled": bool(payload[12]),
                "work_mode": payload[13],
            },
            no_tilt="the device's parameters",
        )


def _setting(option: int, value: int) -> Downlink:
    return Downlink(_PORT, f"80029999{option:02X}{value:02X}81".encode())


CODEC: SensorCodec = Dc413()
