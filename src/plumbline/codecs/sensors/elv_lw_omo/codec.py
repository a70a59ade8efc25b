"""ELV-LW-OMO."""

from collections.abc import Mapping
from typing import Any

from plumbline.codecs.sensors.codec import Downlink, SensorCodec
from plumbline.codecs.sensors.frame import (
    one_of,
    refuse,
    require_frame,
    require_length,
    require_within,
)
from plumbline.codecs.sensors.parameters import unsupported
from plumbline.codecs.sensors.sample import Sample

_PORT = 10
_HEADER = 3
_FRAMES = {
    0: "device_info",
    1: "device_state",
    2: "acceleration_data",
    3: "button_pressed",
    4: "config_data",
}
_REASONS = {
    0: "undefined",
    1: "button",
    2: "heartbeat",
    3: "settings",
    4: "joined",
    5: "acceleration",
    6: "tilt",
    7: "ongoing_acceleration",
    8: "inactivity",
    9: "error",
}
_ACCELERATED = 0x01
_AREAS = {0x00: None, 0x10: 0, 0x20: 1, 0x40: 2}
_AREA_BITS = 0x70
_MODE_ACCELERATION, _MODE_TILT = 0x01, 0x02


class ElvLwOmo:
    """Decodes ELV-LW-OMO frames.

    Measures: angle of inclination, without a sign, in whole degrees; the vendor's decoder does not
    say against which axis.
    Tilt angle: that angle. Where the frame names no tilt area, the device did not measure tilt
    (it may be set to acceleration alone), and there is no tilt angle though the byte is there.
    Source: TheThingsNetwork/lorawan-devices, vendor/elv/elv-lw-omo.js and its codec file.
    """

    model = "elv-lw-omo"
    default_f_port = _PORT
    commands = ()

    def decode(self, payload: bytes, f_port: int) -> Sample:
        """Decode one uplink (port 10).

        Raises:
            InvalidPayload: Another port, frame type, reason or length, or impossible values.
        """
        require_frame(payload, f_port, _PORT)
        if len(payload) < _HEADER:
            refuse("shorter than a header")
        require_within("battery_v", payload[0] / 100, 0.5, 2.55)
        frame = one_of("frame type", payload[1], _FRAMES)
        fields: dict[str, Any] = {
            "battery_v": payload[0] / 100,
            "frame": frame,
            "reason": one_of("reason", payload[2], _REASONS),
        }
        match frame:
            case "device_info":
                fields |= _device_info(payload)
            case "device_state":
                require_length(payload, 7)
                fields |= _state(payload)
                fields["activations"] = int.from_bytes(payload[5:7], "big")
            case "acceleration_data":
                require_length(payload, 5)
                fields |= _state(payload)
            case "button_pressed":
                require_length(payload, 4)
                fields["button_count"] = payload[3]
            case _:
                fields |= _configuration(payload)
        measured = fields.get("tilt_area") is not None
        return Sample(
            model=self.model,
            fields=fields,
            tilt_angle_deg=fields["tilt_deg"] if measured else None,
            no_tilt="" if measured else f"{frame} without a tilt area",
        )

    def encode(self, command: str, params: Mapping[str, Any]) -> Downlink:  # noqa: ARG002 - the protocol's signature
        """Refuse: the vendor publishes no downlink.

        Raises:
            UnsupportedCommand: Always.
        """
        raise unsupported(self.model, command, self.commands)


def _state(payload: bytes) -> dict[str, Any]:
    flags, angle = payload[3], payload[4]
    areas = flags & _AREA_BITS
    if areas not in _AREAS:
        refuse("more than one tilt area")
    require_within("tilt_deg", angle, 0, 180)
    return {
        "accelerated": bool(flags & _ACCELERATED),
        "tilt_area": _AREAS[areas],
        "tilt_deg": angle,
    }


def _device_info(payload: bytes) -> dict[str, Any]:
    require_length(payload, 11)
    return {
        "bootloader_version": ".".join(map(str, payload[3:6])),
        "firmware_version": ".".join(map(str, payload[6:9])),
        "hardware_revision": int.from_bytes(payload[9:11], "big"),
    }


def _configuration(payload: bytes) -> dict[str, Any]:
    require_length(payload, 10)
    modes, threshold, measuring_range, alpha, beta, hysteresis, cycle = payload[3:]
    return {
        "mode_acceleration": bool(modes & _MODE_ACCELERATION),
        "mode_tilt": bool(modes & _MODE_TILT),
        "sensor_threshold": threshold,
        "range": measuring_range,
        "alpha": alpha,
        "beta": beta,
        "hysteresis": hysteresis,
        "send_cycle_min": cycle * 6,
    }


CODEC: SensorCodec = ElvLwOmo()
