"""From a sensor's sample to readings, and what a sample may hold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plumbline.codecs.reading_json import decode_reading, encode_reading
from plumbline.codecs.sensors.acceleration import tilt_from_vertical_deg
from plumbline.codecs.sensors.readings import to_readings
from plumbline.codecs.sensors.registry import decode
from plumbline.codecs.sensors.sample import Sample
from plumbline.codecs.uplink import Uplink
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading, Status
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

RECEIVED_AT = datetime(2024, 1, 5, tzinfo=UTC)
UPLINK = Uplink(
    dev_eui="1000000000000001",
    application="app",
    device_name="bridge-north",
    f_port=85,
    f_cnt=7,
    payload=b"",
    observed_at=RECEIVED_AT - timedelta(seconds=3),
    gateway_id="roof",
    rssi_dbm=-35.0,
    snr_db=11.5,
    deduplication_id="0" * 32,
)


def readings_of(
    model: str, f_port: int, payload_hex: str
) -> list[Reading | DeviceEvent | InvalidPayload]:
    sample = decode(model, f_port, bytes.fromhex(payload_hex))
    return to_readings(sample, UPLINK, "bridge-north", received_at=RECEIVED_AT)


def test_a_sample_becomes_a_reading_with_all_that_it_says() -> None:
    [reading] = readings_of("milesight-em320-tilt", 85, "01756403d498fd44ff6b22")
    assert reading == Reading(
        device_id="bridge-north",
        observed_at=UPLINK.observed_at,
        tilt_angle_deg=-3.08,
        status=Status.ALARM,
        battery_level_pct=100,
        tilt_x_deg=-3.08,
        tilt_y_deg=-0.94,
        tilt_z_deg=44.05,
        rssi_dbm=-35.0,
        snr_db=11.5,
        sequence=7,
        extra={
            "sensor_model": "milesight-em320-tilt",
            "f_port": 85,
            "sensor": {"alarm_x": False, "alarm_y": False, "alarm_z": True},
        },
    )


def test_nothing_is_kept_beside_a_reading_that_says_it_all() -> None:
    sample = Sample(model="acme-t1", fields={"tilt_x_deg": 1.0}, tilt_angle_deg=1.0)
    [reading] = to_readings(sample, UPLINK, "bridge-north", received_at=RECEIVED_AT)
    assert isinstance(reading, Reading)
    assert reading.extra == {"sensor_model": "acme-t1", "f_port": 85}


def test_roll_and_pitch_stand_in_x_and_y() -> None:
    [reading] = readings_of("dragino-ts01-lb", 2, "0ce480ff9cf5c2038e0000")
    assert isinstance(reading, Reading)
    assert (reading.tilt_angle_deg, reading.tilt_x_deg, reading.tilt_y_deg) == (
        -14.4031,
        -14.4031,
        4.9988,
    )
    assert reading.temperature_c == -10.0


def test_a_sensors_own_device_id_does_not_replace_ours() -> None:
    """Decentlab frames carry one, which the canonical JSON must not take for the reading's."""
    payload = "0208c900038009812b8014810880027fe8800880040bf5"
    [reading] = readings_of("decentlab-dl-atm22", 1, payload)
    assert isinstance(reading, Reading)
    assert decode_reading(encode_reading(reading)) == reading
    assert reading.extra["sensor"]["device_id"] == 2249


def test_each_record_of_a_datalog_is_a_reading_at_its_own_time() -> None:
    payload = "010504000200006596abe0" + "ff9cfc00fe00016596afc4" + "0105040002000175960000"
    first, second, third = readings_of("dragino-ts01-lb", 3, payload)
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert first.observed_at == datetime(2024, 1, 4, 13, 0, 16, tzinfo=UTC)
    assert (first.sequence, first.rssi_dbm, first.snr_db) == (None, None, None)
    assert second.tilt_angle_deg == -5.625
    assert isinstance(third, InvalidPayload)
    assert third.reason is Reason.TIMESTAMP_IN_FUTURE


def test_a_record_from_before_what_is_kept_is_refused_alone() -> None:
    old, kept = readings_of("dragino-ts01-lb", 3, "0105040002000060000000010504000200006596abe0")
    assert isinstance(old, InvalidPayload)
    assert old.reason is Reason.TIMESTAMP_TOO_OLD
    assert isinstance(kept, Reading)


@pytest.mark.parametrize(
    ("model", "f_port", "payload", "says"),
    [
        ("milesight-em310-tilt", 85, "017564", "no record of angles"),
        ("elsys-ems", 5, "03012705", "not gravity alone"),
        ("elsys-ems", 5, "0100e2", "no acceleration"),
        ("dragino-lgt92", 2, "00000000000000000c2e64", "motion sensor"),
        ("elv-lw-omo", 10, "96010100000010", "without a tilt area"),
    ],
)
def test_a_frame_without_an_angle_is_an_event(
    model: str, f_port: int, payload: str, says: str
) -> None:
    [event] = readings_of(model, f_port, payload)
    assert isinstance(event, DeviceEvent)
    assert says in event.detail
    assert (event.device_id, event.observed_at) == ("bridge-north", UPLINK.observed_at)
    assert (event.rssi_dbm, event.snr_db, event.sequence) == (-35.0, 11.5, 7)


def test_an_event_keeps_all_that_the_frame_says() -> None:
    [event] = readings_of("dragino-ts01-lb", 5, "2f010001ff0ce4")
    assert isinstance(event, DeviceEvent)
    assert event.fields == {
        "sensor_model": "dragino-ts01-lb",
        "f_port": 85,
        "sensor": {
            "model": "TS01-LB",
            "firmware": "1.0.0",
            "band": "EU868",
            "sub_band": None,
            "battery_v": 3.3,
        },
    }


def test_an_event_has_the_devices_own_judgement() -> None:
    """An alarm without an angle goes first in its batch, as any alarm does."""
    [event] = readings_of("dragino-lgt92", 2, "00000000000000004c2e64")
    assert isinstance(event, DeviceEvent)
    assert event.status is Status.ALARM


def test_an_event_of_an_impossible_time_is_refused() -> None:
    sample = Sample(model="acme-t1", fields={}, no_tilt="start")
    late = replace(UPLINK, observed_at=RECEIVED_AT + timedelta(minutes=6))
    [refusal] = to_readings(sample, late, "bridge-north", received_at=RECEIVED_AT)
    assert isinstance(refusal, InvalidPayload)
    assert refusal.reason is Reason.TIMESTAMP_IN_FUTURE


# --- what a sample may hold ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"fields": {"wind": float("nan")}}, Reason.INVALID_FRAME),
        ({"fields": {"records": [{"wind": float("inf")}]}}, Reason.INVALID_FRAME),
        ({"fields": {"temperature_c": "20"}}, Reason.INVALID_FRAME),
        ({"fields": {"temperature_c": True}}, Reason.INVALID_FRAME),
        ({"fields": {"tilt_x_deg": 180.01}}, Reason.INVALID_TILT_ANGLE),
        ({"fields": {"roll_deg": True}}, Reason.INVALID_TILT_ANGLE),
        ({"fields": {"tilt_y_deg": "1"}}, Reason.INVALID_TILT_ANGLE),
        ({"fields": {}, "tilt_angle_deg": -180.01}, Reason.INVALID_TILT_ANGLE),
        ({"fields": {}, "tilt_angle_deg": float("nan")}, Reason.INVALID_TILT_ANGLE),
        ({"fields": {"battery_pct": 101}}, Reason.INVALID_BATTERY_LEVEL),
        ({"fields": {"battery_pct": True}}, Reason.INVALID_BATTERY_LEVEL),
        ({"fields": {"battery_pct": 50.5}}, Reason.INVALID_BATTERY_LEVEL),
        ({"fields": {"raw": b"\x01"}}, Reason.CODEC_FAILED),
        ({"fields": {"count": 2**63}}, Reason.CODEC_FAILED),
        ({"fields": {"temperature_c": 10**400}}, Reason.CODEC_FAILED),
        ({"fields": {"name": "a\0"}}, Reason.INVALID_TEXT),
        ({"fields": {"inner": {"a\ud800": 1}}}, Reason.INVALID_TEXT),
        ({"fields": {}, "no_tilt": "\ud800"}, Reason.INVALID_TEXT),
    ],
)
def test_a_sample_refuses_what_no_reading_may_hold(members: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        Sample(model="test", **members)
    assert refusal.value.reason is reason


# --- tilt from acceleration ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acceleration_g", "tilt_deg"),
    [
        ((0.0, 0.0, 1.0), 0.0),
        ((0.0, 0.0, -1.0), 180.0),
        ((1.0, 0.0, 0.0), 90.0),
        ((0.0, -1.0, 0.0), 90.0),
        ((0.5, 0.5, 0.70710678), 45.0),
        ((0.0, 0.0, 1.15), 0.0),
        ((0.0, 0.0, 0.84), None),
        ((0.0, 0.0, 1.16), None),
        ((0.0, 0.0, 0.0), None),
        ((10.752, 0.128, 1.476), None),
    ],
)
def test_tilt_from_acceleration(
    acceleration_g: tuple[float, float, float], tilt_deg: float | None
) -> None:
    assert tilt_from_vertical_deg(*acceleration_g) == tilt_deg
