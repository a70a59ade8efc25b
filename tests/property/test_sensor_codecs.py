"""Any bytes, on any port, for every codec: a sample or a clear refusal; and signs survive."""

import json
import math
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbline.codecs.reading_json import decode_reading, encode_reading
from plumbline.codecs.sensors.readings import to_readings
from plumbline.codecs.sensors.registry import codec_for, decode, models
from plumbline.codecs.sensors.sample import Sample
from plumbline.codecs.uplink import Uplink
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload, UnsupportedCommand

CASES = Path(__file__).parents[1] / "testcases/codecs"
VECTORS: list[dict[str, Any]] = json.loads((CASES / "vendor_vectors.json").read_text())
FRAMES: list[dict[str, Any]] = json.loads((CASES / "frames.json").read_text())
FRAMES_OF = {
    model: [
        (case["f_port"], bytes.fromhex(case["bytes_hex"]))
        for case in VECTORS + FRAMES
        if model in (case.get("device"), case.get("model"))
    ]
    for model in models()
}
REFUSALS = {
    Reason.EMPTY_PAYLOAD,
    Reason.INVALID_FRAME,
    Reason.INVALID_TILT_ANGLE,
    Reason.INVALID_BATTERY_LEVEL,
}
NOW = datetime(2026, 1, 18, tzinfo=UTC)


@st.composite
def damaged(draw: st.DrawFn, frame: bytes) -> bytes:
    """A frame with bytes changed, cut, put in or put behind: near enough to get far."""
    damage = bytearray(frame)
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, max(0, len(damage) - 1)))
        match draw(st.sampled_from(["change", "change", "change", "cut", "insert", "append"])):
            case "change" if damage:
                damage[position] = draw(st.integers(0, 255))
            case "cut":
                del damage[position:]
            case "insert":
                damage.insert(position, draw(st.integers(0, 255)))
            case _:
                damage += draw(st.binary(max_size=12))
    return bytes(damage)


@st.composite
def arrivals(draw: st.DrawFn, model: str) -> tuple[int, bytes]:
    """A port and bytes: anything at all, or almost a frame of the model."""
    if draw(st.booleans()):
        return draw(st.integers(0, 255)), draw(st.binary(max_size=64))
    f_port, frame = draw(st.sampled_from(FRAMES_OF[model]))
    return f_port, draw(damaged(frame))


def require_plain(value: object) -> None:
    if isinstance(value, float):
        assert math.isfinite(value)
    elif isinstance(value, dict):
        for member in value.values():
            require_plain(member)
    elif isinstance(value, list | tuple):
        for member in value:
            require_plain(member)
    else:
        assert value is None or isinstance(value, str | int)


def require_sound(sample: Sample, uplink: Uplink) -> None:
    require_plain(dict(sample.fields))
    for result in to_readings(sample, uplink, "bridge-north", received_at=NOW):
        if isinstance(result, Reading):
            assert -180 <= result.tilt_angle_deg <= 180
            assert decode_reading(encode_reading(result)) == result
        elif isinstance(result, DeviceEvent):
            assert result.detail
            require_plain(result.fields)
        else:
            assert result.reason in {Reason.TIMESTAMP_TOO_OLD, Reason.TIMESTAMP_IN_FUTURE}
            assert result.detail


@pytest.mark.parametrize("model", models())
@given(data=st.data())
def test_any_bytes_are_a_sample_or_a_clear_refusal(model: str, data: st.DataObject) -> None:
    f_port, payload = data.draw(arrivals(model))
    try:
        sample = decode(model, f_port, payload)
    except InvalidPayload as refusal:
        if refusal.reason not in REFUSALS:
            raise
        if refusal.reason is not Reason.EMPTY_PAYLOAD and not refusal.detail:
            raise
        return
    uplink = Uplink(
        dev_eui="1000000000000001",
        application="app",
        device_name="bridge-north",
        f_port=f_port,
        f_cnt=7,
        payload=payload,
        observed_at=NOW,
        gateway_id="roof",
        rssi_dbm=-35.0,
        snr_db=11.5,
        deduplication_id="0" * 32,
    )
    require_sound(sample, uplink)
    assert decode(model, f_port, payload) == sample


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["x", "y", "z", "below", "disabled"])
)
NAMES = st.sampled_from(
    [
        "interval_s",
        "threshold_deg",
        "min_deg",
        "max_deg",
        "axis",
        "condition",
        "alarm_times",
        "angle_change_deg",
        "battery_change_v",
        "temperature_change_c",
    ]
)


@pytest.mark.parametrize("model", models())
@given(data=st.data())
def test_any_parameters_are_bytes_or_a_clear_refusal(model: str, data: st.DataObject) -> None:
    """A downlink fits into the smallest LoRaWAN frame of Europe."""
    codec = codec_for(model)
    command = data.draw(st.sampled_from([*codec.commands, "identify"]))
    params = data.draw(st.dictionaries(NAMES, VALUES, max_size=4))
    if data.draw(st.booleans()):
        params["interval_s"] = data.draw(st.integers(0, 70_000) | st.just(3600))
    try:
        downlink = codec.encode(command, params)
    except UnsupportedCommand as refusal:
        assert str(refusal)  # noqa: PT017 - either outcome is right, each with its check
        return
    assert 1 <= downlink.f_port <= 223
    assert 1 <= len(downlink.payload) <= 51


INT16 = st.integers(-0x8000, 0x7FFF)
INT8 = st.integers(-128, 127)
CENTIDEGREES = st.integers(-18_000, 18_000)
DECIDEGREES = st.integers(-1800, 1800)

SIGNED = [
    ("milesight-em310-tilt", 85, "03cf", "<hhhx", CENTIDEGREES, 100, "tilt_{}_deg"),
    ("netvox-r718eb", 6, "01c80124", ">hhhx", DECIDEGREES, 10, "tilt_{}_deg"),
    ("netvox-r718ea", 6, "019a0124", ">bbb4x", INT8, 1, "tilt_{}_deg"),
    ("netvox-r720g", 6, "01b5012400000000", ">bbb", INT8, 1, "tilt_{}_deg"),
    ("elsys-ems", 5, "03", ">bbb", INT8, 1, "acc_{}_count"),
    ("tektelic-sparrow-t0007xxx", 10, "0071", ">hhh", INT16, 1000, "acc_{}_g"),
]


@pytest.mark.parametrize(("model", "f_port", "head", "form", "raw", "scale", "name"), SIGNED)
@given(data=st.data())
def test_signs_of_three_axes_survive(  # noqa: PLR0913, PLR0917 - the columns of the table
    model: str,
    f_port: int,
    head: str,
    form: str,
    raw: st.SearchStrategy[int],
    scale: int,
    name: str,
    data: st.DataObject,
) -> None:
    axes = [data.draw(raw) for _ in "xyz"]
    fields = decode(model, f_port, bytes.fromhex(head) + struct.pack(form, *axes)).fields
    assert [fields[name.format(axis)] for axis in "xyz"] == [value / scale for value in axes]


@given(axes=st.tuples(*[st.integers(-0x4000, 0x3FFF)] * 3), alarms=st.tuples(*[st.booleans()] * 3))
def test_em320_keeps_sign_and_alarm_apart(
    axes: tuple[int, int, int], alarms: tuple[bool, bool, bool]
) -> None:
    values = [angle << 1 | alarm for angle, alarm in zip(axes, alarms, strict=True)]
    fields = decode("milesight-em320-tilt", 85, b"\x03\xd4" + struct.pack("<hhh", *values)).fields
    assert [fields[f"tilt_{axis}_deg"] for axis in "xyz"] == [angle / 100 for angle in axes]
    assert [fields[f"alarm_{axis}"] for axis in "xyz"] == list(alarms)


@given(roll=INT16, pitch=INT16, temperature=st.integers(-550, 1250))
def test_ts01_says_the_same_live_and_in_its_datalog(
    roll: int, pitch: int, temperature: int
) -> None:
    live = decode(
        "dragino-ts01-lb", 2, struct.pack(">HBhhhBB", 3300, 0, temperature, roll, pitch, 0, 0)
    )
    logged = decode(
        "dragino-ts01-lb", 3, struct.pack(">hhhBI", temperature, roll, pitch, 0, 1_704_373_216)
    )
    assert live.tilt_angle_deg == pytest.approx(roll * 180 / 32768, abs=0.00005)
    assert live.fields["pitch_deg"] == pytest.approx(pitch * 180 / 32768, abs=0.00005)
    assert live.temperature_c == temperature / 10
    [record] = logged.records
    assert (record.tilt_angle_deg, record.tilt_y_deg, record.temperature_c) == (
        live.tilt_angle_deg,
        live.tilt_y_deg,
        live.temperature_c,
    )


@given(roll=CENTIDEGREES, pitch=CENTIDEGREES)
def test_lgt92_keeps_signs(roll: int, pitch: int) -> None:
    head = bytes.fromhex("015a785406cf33d80d2060")
    fields = decode("dragino-lgt92", 2, head + struct.pack(">hh", roll, pitch)).fields
    assert (fields["roll_deg"], fields["pitch_deg"]) == (roll / 100, pitch / 100)


@given(x=DECIDEGREES, y=DECIDEGREES)
def test_decentlab_keeps_signs(x: int, y: int) -> None:
    words = [32768] * 4 + [32768 + x, 32768 + y] + [32768] * 2
    frame = bytes.fromhex("0208c90001") + struct.pack(">8H", *words)
    fields = decode("decentlab-dl-atm22", 1, frame).fields
    assert (fields["tilt_x_deg"], fields["tilt_y_deg"]) == (x / 10, y / 10)


@given(angle=st.integers(0, 180), negative=st.booleans(), temperature=st.integers(-60, 127))
def test_dc413_keeps_both_signs(angle: int, *, negative: bool, temperature: int) -> None:
    body = struct.pack(">bBBHHB", temperature, negative, angle, 0, 1, 0)
    frame = bytes.fromhex("800001021106a400") + body + b"\x81"
    fields = decode("dingtek-dc413", 3, frame).fields
    assert fields["tilt_deg"] == (-angle if negative else angle)
    assert fields["temperature_c"] == temperature


@given(degrees=st.integers(0, 180), tenths=st.integers(0, 9), temperature=INT8)
def test_rbs306_adds_the_tenths(degrees: int, tenths: int, temperature: int) -> None:
    payload = struct.pack(">BBBBBb", 0x1F, 0x0F, 0, degrees, tenths, temperature)
    try:
        sample = decode("radiobridge-rbs306-tilt-hp", 2, payload)
    except InvalidPayload as refusal:
        assert refusal.reason is Reason.INVALID_TILT_ANGLE  # noqa: PT017 - beyond a half turn only
        assert (degrees, tenths > 0) == (180, True)
        return
    assert sample.tilt_angle_deg == float(f"{degrees}.{tenths}")
    assert sample.temperature_c == temperature
