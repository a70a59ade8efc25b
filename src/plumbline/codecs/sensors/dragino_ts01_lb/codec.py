"""Dragino TS01-LB and TS01-LS."""

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from plumbline.codecs.sensors import dragino
from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.frame import (
    one_of,
    refuse,
    require_frame,
    require_length,
    require_within,
)
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reading import Status, format_time

_MEASUREMENT_PORT = 2
_DATALOG_PORT = 3
_STATUS_PORT = 5

_MEASUREMENT = struct.Struct(">HBhhhBB")
_RECORD = struct.Struct(">hhhBI")
_STATUS = struct.Struct(">BBBBBH")

_BATTERY_MV = 0x3FFF
_INTERRUPT = 0x80
_ALARM = 0x01
_MODEL_CODE = 0x2F
_NO_SUB_BAND = 0xFF
_POSSIBLE_TIMES = range(1_577_836_800, 2_524_608_000)
"""The years 2020 to 2049: a record has nothing else by which a foreign frame is told from it."""
_BANDS = {
    0x01: "EU868",
    0x02: "US915",
    0x03: "IN865",
    0x04: "AU915",
    0x05: "KZ865",
    0x06: "RU864",
    0x07: "AS923",
    0x08: "AS923_1",
    0x09: "AS923_2",
    0x0A: "AS923_3",
    0x0B: "CN470",
    0x0C: "EU433",
    0x0D: "KR920",
    0x0E: "MA869",
}


class Ts01Lb:
    """Decodes TS01-LB and TS01-LS frames.

    Measures: absolute roll and pitch, accurate to 0.3 degree, in steps of 0.0055 degree.
    Tilt angle: roll. A temperature beyond the probe's range is None.
    Source: dragino/dragino-end-node-decoder, TS01-LB; the accuracy: TS01-LB/LS user manual.
    """

    model = "dragino-ts01-lb"
    default_f_port = _MEASUREMENT_PORT
    commands = dragino.COMMANDS

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode a measurement (port 2), a datalog (3) or the device's status (5).

        Raises:
            InvalidPayload: Another port or length, a voltage at which no TS01 runs, a record of an
                impossible time, or the status of another model.
        """
        require_frame(payload, f_port, _MEASUREMENT_PORT, _DATALOG_PORT, _STATUS_PORT)
        if f_port == _MEASUREMENT_PORT:
            return self._measurement(payload)
        if f_port == _DATALOG_PORT:
            return self._datalog(payload)
        return self._status(payload)

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:
        """Encode a command.

        Raises:
            UnsupportedCommand: Another verb or other parameters.
        """
        return dragino.encode(self.model, command, params)

    def _measurement(self, payload: bytes) -> Sample:
        require_length(payload, _MEASUREMENT.size)
        battery, flags, temperature, roll, pitch, mount, _reserved = _MEASUREMENT.unpack(payload)
        alarm = bool(flags & _ALARM)
        fields: dict[str, Any] = {
            "battery_v": _volts(battery & _BATTERY_MV),
            "temperature_c": _celsius(temperature),
            "roll_deg": _degrees(roll),
            "pitch_deg": _degrees(pitch),
            "mount": "vertical" if mount else "level",
            "interrupt": bool(flags & _INTERRUPT),
            "alarm": alarm,
        }
        return Sample(
            model=self.model,
            fields=fields,
            tilt_angle_deg=fields["roll_deg"],
            status=Status.ALARM if alarm else Status.NORMAL,
        )

    def _datalog(self, payload: bytes) -> Sample:
        if len(payload) % _RECORD.size:
            refuse(f"{len(payload)} bytes are no whole records of {_RECORD.size}")
        records: list[Sample] = []
        flags: list[int] = []
        for temperature, roll, pitch, flag, seconds in _RECORD.iter_unpack(payload):
            if seconds not in _POSSIBLE_TIMES:
                refuse(f"a record of Unix time {seconds}: no datalog, or a clock never set")
            observed_at = datetime.fromtimestamp(seconds, UTC)
            record: dict[str, Any] = {
                "temperature_c": _celsius(temperature),
                "roll_deg": _degrees(roll),
                "pitch_deg": _degrees(pitch),
                "time": format_time(observed_at),
            }
            flags.append(flag)
            records.append(
                Sample(
                    model=self.model,
                    fields=record,
                    tilt_angle_deg=record["roll_deg"],
                    observed_at=observed_at,
                )
            )
        return Sample(
            model=self.model,
            fields={"records": [dict(record.fields) for record in records], "record_flags": flags},
            records=tuple(records),
        )

    def _status(self, payload: bytes) -> Sample:
        require_length(payload, _STATUS.size)
        code, major, minor, band, sub_band, battery = _STATUS.unpack(payload)
        if code != _MODEL_CODE:
            refuse(f"the status of model {code:02x}, expected {_MODEL_CODE:02x}")
        return Sample(
            model=self.model,
            fields={
                "model": "TS01-LB",
                "firmware": f"{major & 0x0F}.{minor >> 4}.{minor & 0x0F}",
                "band": one_of("band", band, _BANDS),
                "sub_band": None if sub_band == _NO_SUB_BAND else sub_band,
                "battery_v": _volts(battery),
            },
            no_tilt="the device's status",
        )


def _celsius(tenths: int) -> float | None:
    # The probe measures -55 to 125; anything else is the mark of a probe that does not answer.
    return tenths / 10 if -550 <= tenths <= 1250 else None  # noqa: PLR2004 - the probe's range


def _degrees(value: int) -> float:
    return round(value * 180 / 32768, 4)


def _volts(millivolts: int) -> float:
    # The LB runs from 2.5 V; the LS has a cell of 4.2 V. Anything else is another frame.
    require_within("battery_v", millivolts / 1000, 1.8, 4.3)
    return millivolts / 1000


CODEC: SensorCodec = Ts01Lb()
