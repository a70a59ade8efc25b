"""What a device may send, and the reason code of everything else."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbline.codecs.reading_json import decode_payload, decode_reading, encode_reading
from plumbline.codecs.telemetry import decode_message
from plumbline.domain.reading import Reading, Status, format_time
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidMessage, InvalidPayload

NOW = datetime(2026, 1, 18, 10, 30, tzinfo=UTC)
GOOD = {"device_id": "sensor-001", "timestamp": "2026-01-18T10:29:00Z", "tilt_angle": 15.5}


def decode(payload: bytes | dict[str, object]) -> list[Reading | InvalidPayload]:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decode_payload(
        raw,
        "sensor-001",
        received_at=NOW,
        max_age=timedelta(days=90),
        max_ahead=timedelta(minutes=5),
    )


def reason_of(payload: bytes | dict[str, object]) -> Reason:
    try:
        [result] = decode(payload)
    except InvalidPayload as error:
        return error.reason
    assert isinstance(result, InvalidPayload), result
    return result.reason


def reading_of(payload: bytes | dict[str, object]) -> Reading:
    [result] = decode(payload)
    assert isinstance(result, Reading), result
    return result


def test_a_refusal_says_why_in_one_line_of_limited_length() -> None:
    refusal = InvalidPayload(Reason.DEVICE_ID_MISMATCH, "x" * 5000)
    assert refusal.detail == "x" * 300
    assert str(refusal) == f"device_id_mismatch: {refusal.detail}"


def test_the_documents_example_is_read() -> None:
    reading = reading_of(
        {
            "device_id": "sensor-001",
            "timestamp": "2026-01-18T10:30:00Z",
            "tilt_angle": 15.5,
            "status": "normal",
            "battery_level": 85,
        }
    )
    assert reading == Reading("sensor-001", NOW, 15.5, Status.NORMAL, battery_level_pct=85)


def test_the_reason_does_not_depend_on_how_deep_its_caller_is() -> None:
    payload = b"[" * 700 + b"x"

    def at_depth(depth: int) -> Reason:
        return at_depth(depth - 1) if depth else reason_of(payload)

    assert {at_depth(depth) for depth in (0, 400)} == {Reason.NESTED_TOO_DEEPLY}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        pytest.param(b"", Reason.EMPTY_PAYLOAD, id="empty"),
        pytest.param(b"hello", Reason.INVALID_JSON, id="not JSON"),
        pytest.param(b"\xff\xfe\x00\x01", Reason.NOT_UTF8, id="binary"),
        pytest.param('{"a":1}'.encode("utf-16"), Reason.NOT_UTF8, id="UTF-16"),
        pytest.param(b"x" * 1_000_000, Reason.PAYLOAD_TOO_LARGE, id="1 MB"),
        pytest.param(b"x" * 8193, Reason.PAYLOAD_TOO_LARGE, id="one byte too many"),
        pytest.param(b"[" * 4000, Reason.NESTED_TOO_DEEPLY, id="depth 4,000"),
        pytest.param(b"[" * 1000 + b"]" * 1000, Reason.NESTED_TOO_DEEPLY, id="depth 1,000"),
        pytest.param(b"[" * 201, Reason.NESTED_TOO_DEEPLY, id="depth 201"),
        pytest.param(b"[" * 200, Reason.INVALID_JSON, id="depth 200"),
        pytest.param(b"[[]," + b"[" * 199, Reason.INVALID_JSON, id="depth 200 and more brackets"),
        pytest.param(b"[" * 201 + b"x", Reason.NESTED_TOO_DEEPLY, id="depth 201 and a fault"),
        pytest.param(b'{"a":"' + b"[" * 201, Reason.INVALID_JSON, id="brackets in a string"),
        pytest.param(b'"\\"' + b"[" * 201, Reason.INVALID_JSON, id="behind an escaped quote"),
        pytest.param(
            b'{"tilt_angle":' + b"9" * 5000 + b"}", Reason.INVALID_JSON, id="5,000 digits"
        ),
        pytest.param(b'{"tilt_angle":1e999}', Reason.INVALID_JSON, id="1e999"),
        pytest.param(b'{"tilt_angle":NaN}', Reason.INVALID_JSON, id="NaN"),
        pytest.param(b'{"tilt_angle":-Infinity}', Reason.INVALID_JSON, id="-Infinity"),
        pytest.param(b'{"tilt_angle":1,"tilt_angle":2}', Reason.DUPLICATE_KEY, id="duplicate key"),
        pytest.param(b"[]", Reason.EMPTY_ARRAY, id="empty array"),
        pytest.param(b"7", Reason.NOT_AN_OBJECT, id="number"),
        pytest.param(b"null", Reason.NOT_AN_OBJECT, id="null"),
        pytest.param(b"[[]]", Reason.NOT_AN_OBJECT, id="array of arrays"),
        pytest.param(b"\xef\xbb\xbf{}", Reason.INVALID_JSON, id="byte order mark"),
        pytest.param(b"{}", Reason.MISSING_FIELD, id="no fields"),
        pytest.param('{"tilt_angle": １}'.encode(), Reason.INVALID_JSON, id="full-width digit"),
    ],
)
def test_a_payload_that_is_no_reading_is_refused(payload: bytes, reason: Reason) -> None:
    assert reason_of(payload) is reason


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"tilt_angle": None}, Reason.MISSING_FIELD),
        ({"tilt_angle": "15.5"}, Reason.INVALID_TILT_ANGLE),
        ({"tilt_angle": True}, Reason.INVALID_TILT_ANGLE),
        ({"tilt_angle": 180.0001}, Reason.INVALID_TILT_ANGLE),
        ({"tilt_angle": -181}, Reason.INVALID_TILT_ANGLE),
        ({"tilt_angle": 10**400}, Reason.INVALID_TILT_ANGLE),
        ({"status": "NORMAL"}, Reason.INVALID_STATUS),
        ({"status": 1}, Reason.INVALID_STATUS),
        ({"status": ["normal"]}, Reason.INVALID_STATUS),
        ({"battery_level": True}, Reason.INVALID_BATTERY_LEVEL),
        ({"battery_level": 85.0}, Reason.INVALID_BATTERY_LEVEL),
        ({"battery_level": "85"}, Reason.INVALID_BATTERY_LEVEL),
        ({"battery_level": 101}, Reason.INVALID_BATTERY_LEVEL),
        ({"battery_level": -1}, Reason.INVALID_BATTERY_LEVEL),
        ({"device_id": "sensor-002"}, Reason.DEVICE_ID_MISMATCH),
        ({"device_id": 7}, Reason.INVALID_DEVICE_ID),
        ({"device_id": "s" * 51}, Reason.INVALID_DEVICE_ID),
        ({"device_id": "sensor-００１"}, Reason.INVALID_DEVICE_ID),
        ({"timestamp": None}, Reason.MISSING_FIELD),
        ({"timestamp": "2026-01-18T10:29:00"}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": "2026-01-18 10:29:00Z"}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": "2026-01-18"}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": "2026-W03-7"}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": "2026-02-30T10:29:00Z"}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": "２０２６-01-18T10:29:00Z"}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": "2026-01-18T10:29:00Z\n"}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": "0001-01-01T00:00:00+01:00"}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": 1768732140.5}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": True}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": 10**30}, Reason.INVALID_TIMESTAMP),
        ({"timestamp": "2026-01-18T10:35:00.000001Z"}, Reason.TIMESTAMP_IN_FUTURE),
        ({"timestamp": "2025-10-20T10:29:59.999999Z"}, Reason.TIMESTAMP_TOO_OLD),
        ({"timestamp": 0}, Reason.TIMESTAMP_TOO_OLD),
        ({"tilt_x": 1000}, Reason.INVALID_FIELD),
        ({"temperature": "warm"}, Reason.INVALID_FIELD),
        ({"temperature": 10**400}, Reason.INVALID_FIELD),
        ({"rssi": False}, Reason.INVALID_FIELD),
        ({"sequence": 1.0}, Reason.INVALID_FIELD),
        ({"sequence": 2**63}, Reason.INVALID_FIELD),
        ({"note": "a\0b"}, Reason.INVALID_TEXT),
        ({"a\0b": 1}, Reason.INVALID_TEXT),
        ({"note": ["\ud800"]}, Reason.INVALID_TEXT),
    ],
)
def test_a_field_out_of_its_rule_is_refused(members: dict[str, object], reason: Reason) -> None:
    assert reason_of({**GOOD, **members}) is reason


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2026-01-18T10:29:00Z", "2026-01-18T10:29:00+00:00"),
        ("2026-01-18t10:29:00z", "2026-01-18T10:29:00+00:00"),
        ("2026-01-18T12:29:00.5+02:00", "2026-01-18T10:29:00.500000+00:00"),
        ("2026-01-18T05:59:00.123456999-04:30", "2026-01-18T10:29:00.123456+00:00"),
        (1768732140, "2026-01-18T10:29:00+00:00"),
        (1768732140123, "2026-01-18T10:29:00.123000+00:00"),
    ],
)
def test_times_become_utc_with_whole_microseconds(timestamp: str | int, expected: str) -> None:
    """Nanoseconds are cut, never rounded: PostgreSQL would round what Python cuts."""
    assert reading_of({**GOOD, "timestamp": timestamp}).observed_at.isoformat() == expected


def test_the_edges_of_the_time_window_are_accepted() -> None:
    for edge in ("2026-01-18T10:35:00Z", "2025-10-20T10:30:00Z"):
        assert format_time(reading_of({**GOOD, "timestamp": edge}).observed_at) == edge


# With a member that is not known, a reading goes the strict way; without one, the short way.
ways = pytest.mark.parametrize("others", [{}, {"firmware": "1.2"}], ids=["short", "strict"])


@ways
def test_every_field_is_read(others: dict[str, object]) -> None:
    fields = {
        "status": "warning",
        "battery_level": 0,
        "tilt_x": 1.5,
        "tilt_y": -2.5,
        "tilt_z": 180,
        "temperature": -40,
        "rssi": -97,
        "snr": 7.5,
        "sequence": 3,
    }
    assert reading_of(GOOD | fields | others) == Reading(
        "sensor-001",
        NOW - timedelta(minutes=1),
        15.5,
        Status.WARNING,
        battery_level_pct=0,
        tilt_x_deg=1.5,
        tilt_y_deg=-2.5,
        tilt_z_deg=180.0,
        temperature_c=-40.0,
        rssi_dbm=-97.0,
        snr_db=7.5,
        sequence=3,
        extra=others,
    )
    assert reading_of(GOOD | others).status is Status.NORMAL


@ways
@pytest.mark.parametrize(
    ("name", "least", "greatest", "step"),
    [
        ("battery_level", 0, 100, 1),
        ("sequence", -(2**63), 2**63 - 1, 1),
        ("tilt_angle", -180, 180, 0.001),
        ("tilt_x", -180, 180, 0.001),
        ("tilt_y", -180, 180, 0.001),
        ("tilt_z", -180, 180, 0.001),
    ],
)
def test_the_edges_of_a_range_are_in_it(
    name: str, least: float, greatest: float, step: float, others: dict[str, object]
) -> None:
    for value in (least, greatest):
        reading_of(GOOD | {name: value} | others)
    for value in (least - step, greatest + step):
        assert isinstance(decode(GOOD | {name: value} | others)[0], InvalidPayload)


@ways
def test_a_microsecond_beyond_the_time_window_is_refused(others: dict[str, object]) -> None:
    oldest, newest = NOW - timedelta(days=90), NOW + timedelta(minutes=5)
    beyond = timedelta(microseconds=1)
    for moment in (oldest, newest):
        found = reading_of(GOOD | {"timestamp": format_time(moment)} | others)
        assert found.observed_at == moment
    for moment, reason in (
        (oldest - beyond, Reason.TIMESTAMP_TOO_OLD),
        (newest + beyond, Reason.TIMESTAMP_IN_FUTURE),
    ):
        assert reason_of(GOOD | {"timestamp": format_time(moment)} | others) is reason


@pytest.mark.parametrize(
    ("members", "reason", "detail"),
    [
        # Seconds of the year 5138; one more, and it is milliseconds of 1973.
        ({"timestamp": 99_999_999_999}, Reason.TIMESTAMP_IN_FUTURE, "5138-11-16T09:46:39Z"),
        ({"timestamp": 100_000_000_000}, Reason.TIMESTAMP_TOO_OLD, "1973-03-03T09:46:40Z"),
        ({"timestamp": 10**30}, Reason.INVALID_TIMESTAMP, "no such moment"),
        ({"timestamp": "2026-02-30T00:00:00Z"}, Reason.INVALID_TIMESTAMP, "no such moment"),
        ({"temperature": 10**400}, Reason.INVALID_FIELD, "temperature: out of range"),
    ],
)
def test_a_refusal_names_what_is_wrong(
    members: dict[str, object], reason: Reason, detail: str
) -> None:
    [refusal] = decode(GOOD | members)
    assert isinstance(refusal, InvalidPayload)
    assert (refusal.reason, refusal.detail) == (reason, detail)


@pytest.mark.parametrize("tail", [b"", b',"pad":""'])
def test_the_largest_payload_is_read(tail: bytes) -> None:
    body = json.dumps(GOOD).encode()[:-1] + tail + b"}"
    assert reading_of(body + b" " * (8192 - len(body)))
    assert reason_of(body + b" " * (8193 - len(body))) is Reason.PAYLOAD_TOO_LARGE


def test_a_document_may_be_nested_32_times() -> None:
    def nested(levels: int) -> bytes:
        value = b"[" * levels + b"]" * levels
        return json.dumps(GOOD).encode()[:-1] + b',"a":' + value + b"}"

    assert reading_of(nested(31))
    assert reason_of(nested(32)) is Reason.NESTED_TOO_DEEPLY


def test_text_of_the_queue_that_no_column_can_hold_is_an_invalid_message() -> None:
    body = json.dumps(GOOD)[:-1] + ',"note":"a%s"}'
    assert decode_reading(body % "\\u0001").extra == {"note": "a\x01"}
    for text in ("\\u0000", "\\ud800", "\\udfff"):
        with pytest.raises(InvalidMessage, match="invalid_text"):
            decode_reading(body % text)


def test_a_queue_body_without_a_device_says_so() -> None:
    for others in ({}, {"firmware": "1.2"}):
        body = json.dumps({"timestamp": GOOD["timestamp"], "tilt_angle": 1} | others)
        with pytest.raises(InvalidMessage, match="missing_field: device_id"):
            decode_reading(body)


def test_a_time_of_another_zone_is_written_in_utc() -> None:
    east = Reading("a", NOW.astimezone(timezone(timedelta(hours=2))), 1.0)
    assert json.loads(encode_reading(east))["timestamp"] == "2026-01-18T10:30:00Z"


def test_device_id_may_be_left_to_the_topic() -> None:
    members = {key: value for key, value in GOOD.items() if key != "device_id"}
    assert reading_of(members).device_id == "sensor-001"


def test_unknown_fields_are_kept() -> None:
    reading = reading_of({**GOOD, "firmware": "1.2", "axes": {"x": [1, 2.5, None]}})
    assert reading.extra == {"firmware": "1.2", "axes": {"x": [1, 2.5, None]}}


def test_a_bad_element_of_an_array_leaves_its_neighbours() -> None:
    elements = [GOOD, {**GOOD, "tilt_angle": "x"}, {**GOOD, "timestamp": "2026-01-18T10:28:00Z"}]
    results = decode(json.dumps(elements).encode())
    assert [type(result) for result in results] == [Reading, InvalidPayload, Reading]


def test_a_duplicate_key_spoils_only_its_element() -> None:
    good = json.dumps(GOOD)
    results = decode(f'[{good}, {{"tilt_angle":1,"tilt_angle":1}}]'.encode())
    assert [type(result) for result in results] == [Reading, InvalidPayload]


def test_nested_duplicate_keys_and_deep_extras_are_refused() -> None:
    good = json.dumps(GOOD)[:-1]
    assert reason_of(f'{good},"a":{{"b":1,"b":2}}}}'.encode()) is Reason.DUPLICATE_KEY
    deep = "[" * 40 + "]" * 40
    assert reason_of(f'{good},"a":{deep}}}'.encode()) is Reason.NESTED_TOO_DEEPLY


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("tilt/sensor 1/telemetry", Reason.INVALID_DEVICE_ID),
        ("tilt//telemetry", Reason.INVALID_DEVICE_ID),
        ("tilt/sensor-001/telemetry/more", Reason.UNKNOWN_TOPIC),
        ("other/sensor-001/telemetry", Reason.UNKNOWN_TOPIC),
    ],
)
def test_a_topic_that_is_none_of_ours_is_refused(topic: str, reason: Reason) -> None:
    with pytest.raises(InvalidPayload) as caught:
        decode_message(topic, json.dumps(GOOD).encode(), NOW)
    assert caught.value.reason is reason


finite = st.floats(-180, 180)
numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
)
readings = st.builds(
    Reading,
    device_id=st.from_regex(r"[A-Za-z0-9_-]{1,50}", fullmatch=True),
    observed_at=st.datetimes(timezones=st.just(UTC)),
    tilt_angle_deg=finite,
    status=st.sampled_from(Status),
    battery_level_pct=st.none() | st.integers(0, 100),
    tilt_x_deg=st.none() | finite,
    tilt_y_deg=st.none() | finite,
    tilt_z_deg=st.none() | finite,
    temperature_c=st.none() | numbers,
    rssi_dbm=st.none() | numbers,
    snr_db=st.none() | numbers,
    sequence=st.none() | st.integers(-(2**63), 2**63 - 1),
    extra=st.dictionaries(st.sampled_from(["a", "b_c", "ü"]), scalars | st.lists(scalars)),
)


@given(readings)
def test_what_is_sent_on_the_queue_is_what_is_read(reading: Reading) -> None:
    assert decode_reading(encode_reading(reading)) == reading


@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_a_reading_or_a_clear_refusal(payload: bytes) -> None:
    try:
        results = decode(payload)
    except InvalidPayload:
        return
    assert results


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"device_id":"a"}', "\ud800", '[{"a":1}]'])
def test_a_queue_body_that_is_no_reading_is_an_invalid_message(body: str) -> None:
    with pytest.raises(InvalidMessage):
        decode_reading(body)


def test_a_reading_on_the_queue_has_the_documents_fields() -> None:
    reading = Reading(
        "a",
        NOW,
        1.5,
        Status.FAULT,
        battery_level_pct=85,
        tilt_x_deg=0.1,
        tilt_y_deg=0.2,
        tilt_z_deg=0.3,
        temperature_c=-4.5,
        rssi_dbm=-80.0,
        snr_db=7.5,
        sequence=3,
        extra={"firmware": "1"},
    )
    assert json.loads(encode_reading(reading)) == {
        "device_id": "a",
        "timestamp": "2026-01-18T10:30:00Z",
        "tilt_angle": 1.5,
        "status": "fault",
        "battery_level": 85,
        "tilt_x": 0.1,
        "tilt_y": 0.2,
        "tilt_z": 0.3,
        "temperature": -4.5,
        "rssi": -80.0,
        "snr": 7.5,
        "sequence": 3,
        "firmware": "1",
    }
    assert decode_reading(encode_reading(reading)) == reading
