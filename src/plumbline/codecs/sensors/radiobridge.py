"""Messages that all RadioBridge sensors share, and the header of all messages.

Byte 0: protocol version (high nibble) and counter (low nibble); byte 1: message type.

Source: RadioBridge "Common Sensor Messages" as in the user guides and
support.radiobridge.com; RadioBridge/Packet-Decoder, DecoderDocs/CommonEvents.md.
"""

import struct
from typing import Any

from plumbline.codecs.sensors.frame import one_of, refuse, require_frame, require_length
from plumbline.codecs.sensors.sample import Sample
from plumbline.domain.reading import Status

PROTOCOL = 1
SENSORS = {0x0A: "RBS301-TILT", 0x0F: "RBS306-TILT-HP"}

_COMMON = {
    0x00: "reset",
    0x01: "supervisory",
    0x02: "tamper",
    0xFB: "link_quality",
    0xFF: "downlink_ack",
}
_MIN_LENGTH = 2
_MAX_DIGIT = 9
_FIRMWARE_WITH_BUILD = 0x8000


def read_header(payload: bytes, f_port: int) -> tuple[int, dict[str, Any]]:
    """Return the message type, and protocol version and counter as fields.

    Raises:
        InvalidPayload: Empty, shorter than a header, or another protocol version.
    """
    require_frame(payload, f_port)
    if len(payload) < _MIN_LENGTH:
        refuse("shorter than a header")
    protocol, counter = payload[0] >> 4, payload[0] & 0x0F
    if protocol != PROTOCOL:
        refuse(f"protocol version {protocol}, expected {PROTOCOL}")
    return payload[1], {"protocol": protocol, "counter": counter}


def read_common(message: int, payload: bytes, sensor: int) -> dict[str, Any]:
    """Read a message that holds no measurement.

    Args:
        message: The message type.
        sensor: The model's own message type, which is also its sensor type.

    Raises:
        InvalidPayload: Another sensor's message, an unknown one, or not of its length.
    """
    if message in SENSORS:
        refuse(f"message {message:02x} is a tilt event of {SENSORS[message]}")
    event = one_of("message type", message, _COMMON)
    match event:
        case "reset":
            fields = _reset(payload, sensor)
        case "supervisory":
            fields = _supervisory(payload)
        case "link_quality":
            fields = _link_quality(payload)
        case "tamper":
            require_length(payload, 3)
            fields = {"tamper_state": payload[2]}
        case _:
            require_length(payload, 3, 11)
            fields = {"downlink_status": payload[2]}
    return {"event": event, **fields}


def sample_without_tilt(model: str, fields: dict[str, Any]) -> Sample:
    """Return the sample of a message that holds no measurement."""
    return Sample(
        model=model,
        fields=fields,
        no_tilt=f"a {fields['event']} message",
        status=Status.WARNING if fields.get("battery_low") else Status.NORMAL,
    )


def _reset(payload: bytes, sensor: int) -> dict[str, Any]:
    require_length(payload, 8)
    if payload[2] != sensor:
        refuse(f"the reset of sensor type {payload[2]:02x}, expected {sensor:02x}")
    firmware = int.from_bytes(payload[4:6], "big")
    if firmware & _FIRMWARE_WITH_BUILD:
        parts = [firmware >> 10 & 0x1F, firmware >> 5 & 0x1F, firmware & 0x1F]
    else:
        parts = [firmware >> 8, firmware & 0xFF]
    return {
        "hardware_version": f"{payload[3] >> 4}.{payload[3] & 0x0F}",
        "firmware_version": ".".join(map(str, parts)),
        "reset_code": payload[6:8].hex(),
    }


def _link_quality(payload: bytes) -> dict[str, Any]:
    require_length(payload, 5)
    sub_band, rssi_dbm, snr_db = struct.unpack(">Bbb", payload[2:])
    return {
        "sub_band": sub_band,
        "downlink_rssi_dbm": rssi_dbm,
        "downlink_snr_db": snr_db,
    }


def _supervisory(payload: bytes) -> dict[str, Any]:
    require_length(payload, 5, 11)
    errors, state, volts = payload[2:5]
    if volts >> 4 > _MAX_DIGIT or volts & 0x0F > _MAX_DIGIT:
        refuse("the battery voltage is not decimal")
    fields: dict[str, Any] = {
        "radio_error": bool(errors & 0x01),
        "battery_low": bool(errors & 0x02),
        "downlink_error": bool(errors & 0x04),
        "tamper": bool(errors & 0x08),
        "tamper_since_reset": bool(errors & 0x10),
        "sensor_state": state,
        "battery_v": ((volts >> 4) * 10 + (volts & 0x0F)) / 10,
    }
    if len(payload) > 5:  # noqa: PLR2004 - the shorter of the two lengths
        fields["sensor_state_extended"] = payload[5:9].hex()
        fields["event_count"] = int.from_bytes(payload[9:11], "big")
    return fields
