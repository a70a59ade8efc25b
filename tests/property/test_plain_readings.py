"""The fast way through a plain reading says what the strict way says."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbline.codecs.reading_json import decode_payload, decode_reading, encode_reading
from plumbline.domain.reading import Reading
from plumbline.errors import InvalidMessage, InvalidPayload

NOW = datetime(2026, 1, 18, 10, 30, tzinfo=UTC)

NUMBERS = [
    *("1", "1.0", "-0", "-0.0", "0.0", "1e2", "1E2", "1e+2", "10e0", "85.0", "0.1", "100", "101"),
    *("180", "180.00000000000001", "180.0000000000000142", "181", "-180", "-180.1"),
    *("1.", ".5", "01", "-01", "00", "-", "1e", "1e+", "+1", "NaN", "Infinity", "-Infinity"),
    *("1e999", "-1e999", "1e-400", "2.5e-324", "9" * 400, "9" * 5000, "0." + "3" * 400),
    *("123456789012345678901234567890", "9007199254740993", "18446744073709551616"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808"),
    *("-9223372036854775809", "1768732140", "1768732140123", "1e" + "9" * 30),
]
TEXTS = [
    '""',
    '"normal"',
    '"alarm"',
    '"Alarm"',
    '"norm\\u0061l"',
    '"sensor-001"',
    '"sensor-002"',
    '"sensor-00\\u0031"',
    '"a,b"',
    '"\\ud800"',
    '"a\\u0000"',
    '"ü"',
    '"a\tb"',
    '"2026-01-18T10:29:00Z"',
    '"2026-01-18t10:29:00.5z"',
    '"2026-01-18T12:29:00.123456789+02:00"',
    '"2026-01-18T10:29:00"',
    '"2026-01-18 10:29:00Z"',
    '"2026-01-18T24:00:00Z"',
    '"2026-01-18T10:29:00,5Z"',
    '"2026-01-18T10:36:00Z"',
    '"2025-01-18T10:29:00Z"',
    '"0001-01-01T00:00:00+01:00"',
]
OTHERS = ["true", "null", "[1]", "{}", '{"a":1}', '{"a":1,"a":2}', ""]
NAMES = [
    *("device_id", "timestamp", "tilt_angle", "status", "battery_level", "tilt_x", "tilt_y"),
    *("tilt_z", "temperature", "rssi", "snr", "sequence", "unknown", "t\\u0069lt_x"),
]
USUAL = {
    "device_id": '"sensor-001"',
    "timestamp": '"2026-01-18T10:29:00Z"',
    "tilt_angle": "1.5",
}
spaces = st.sampled_from([""] * 20 + [" ", "\n", "\r", "\t", "\x0c", "\xa0"])
values = st.sampled_from(NUMBERS) | st.sampled_from(TEXTS) | st.sampled_from(OTHERS)
members = st.tuples(st.sampled_from(NAMES), values)


def text_of(members: Iterable[tuple[str, str]], space: str = "") -> str:
    return f"{{{space}" + ",".join(f'"{name}"{space}:{value}' for name, value in members) + "}"


@st.composite
def objects(draw: st.DrawFn) -> str:
    """Draw the text of one object, mostly a reading with a few oddities."""
    odd = draw(st.lists(members, max_size=3))
    doubled = draw(st.booleans())
    usual = [(name, USUAL[name]) for name in USUAL if doubled or name not in dict(odd)]
    every = draw(st.permutations([*usual, *odd]))
    return text_of(every, draw(spaces))


def said(payload: bytes) -> list[str] | None:
    """Tell what became of each element in all detail; None where nothing could be read."""
    try:
        results = decode_payload(
            payload,
            "sensor-001",
            received_at=NOW,
            max_age=timedelta(days=90),
            max_ahead=timedelta(minutes=5),
        )
    except InvalidPayload:
        return None
    return [
        f"{result.reason} {result.detail}"
        if isinstance(result, InvalidPayload)
        else repr(result._replace(extra=dict(result.extra)))
        for result in results
    ]


def require_the_same(text: str) -> None:
    """Hold the fast way against the strict way, which an array and an unknown member both take."""
    alone = said(text.encode())
    if alone is not None:
        assert alone == said(f"[{text}]".encode())
    try:
        reading = decode_reading(text)
    except InvalidMessage:
        return
    other = decode_reading(f'{text[:-1]},"one_more":0}}')
    assert other.extra == {**reading.extra, "one_more": 0}
    assert repr(other[:-1]) == repr(reading[:-1])


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_a_member_says_the_same_on_either_way(name: str) -> None:
    for value in [*NUMBERS, *TEXTS, *OTHERS]:
        require_the_same(text_of((USUAL | {name: value}).items()))
        require_the_same(text_of([(name, value), *USUAL.items()]))


@given(objects())
def test_any_object_says_the_same_on_either_way(text: str) -> None:
    require_the_same(text)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_never_becomes_a_body(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode_reading(Reading("sensor-001", NOW, 1.0, temperature_c=number))
    with pytest.raises(ValueError, match="JSON"):
        encode_reading(Reading("sensor-001", NOW, number))


def test_a_time_without_a_zone_never_becomes_a_body() -> None:
    with pytest.raises(ValueError, match="zone"):
        encode_reading(Reading("sensor-001", NOW.replace(tzinfo=None), 1.0))


def test_a_time_of_another_zone_is_sent_in_utc() -> None:
    there = NOW.astimezone(datetime.fromisoformat("2026-01-01T00:00:00+02:00").tzinfo)
    assert '"2026-01-18T10:30:00Z"' in encode_reading(Reading("sensor-001", there, 1.0))


def test_a_device_whose_name_looks_like_no_value_is_sent_as_any_other() -> None:
    reading = Reading("null", NOW, 1.0)
    assert decode_reading(encode_reading(reading)) == reading
