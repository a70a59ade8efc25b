"""Uplink events of ChirpStack v4 and The Things Stack v3, in all their variants."""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbline.codecs import chirpstack, things_stack
from plumbline.codecs.event_json import MAX_EVENT_BYTES
from plumbline.codecs.uplink import Reception, Uplink, best_reception
from plumbline.domain.reading import format_time
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

CASES = Path(__file__).parents[1] / "testcases/codecs"
Decode = Callable[[bytes], Uplink]


def load(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((CASES / name).read_text())
    return cases


CHIRPSTACK = load("chirpstack_uplinks.json")
THINGS_STACK = load("things_stack_uplinks.json")
SERVERS = [
    pytest.param(chirpstack.decode_uplink, CHIRPSTACK[0]["event"], id="chirpstack"),
    pytest.param(things_stack.decode_uplink, THINGS_STACK[0]["event"], id="things_stack"),
]


def encoded(event: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps(event).encode()


def shown(uplink: Uplink) -> dict[str, Any]:
    members = asdict(uplink)
    del members["deduplication_id"]
    members["payload"] = uplink.payload.hex()
    members["observed_at"] = format_time(uplink.observed_at)
    return members


@pytest.mark.parametrize("case", CHIRPSTACK, ids=lambda case: case["name"])
def test_chirpstack_uplink(case: dict[str, Any]) -> None:
    uplink = chirpstack.decode_uplink(encoded(case["event"]))
    assert shown(uplink) == case["expected"]


@pytest.mark.parametrize("case", THINGS_STACK, ids=lambda case: case["name"])
def test_things_stack_uplink(case: dict[str, Any]) -> None:
    uplink = things_stack.decode_uplink(encoded(case["event"]))
    assert shown(uplink) == case["expected"]


def changed(event: dict[str, Any], path: str, value: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Return the event with one member replaced; ``...`` removes it."""
    event = copy.deepcopy(event)
    *parents, name = path.split("/")
    target: Any = event
    for parent in parents:
        target = target[int(parent)] if isinstance(target, list) else target[parent]
    if value is ...:
        del target[name]
    else:
        target[name] = value
    return encoded(event)


REFUSED_CHIRPSTACK = [
    ("deviceInfo/devEui", ..., Reason.MISSING_FIELD),
    ("deviceInfo", ..., Reason.MISSING_FIELD),
    ("deviceInfo", [], Reason.INVALID_FIELD),
    ("deviceInfo/devEui", "1000", Reason.INVALID_FIELD),
    ("deviceInfo/devEui", "１000000000000001", Reason.INVALID_FIELD),
    ("deviceInfo/devEui", 1, Reason.INVALID_FIELD),
    ("deviceInfo/deviceName", "a\0", Reason.INVALID_TEXT),
    ("deviceInfo/applicationId", "\ud800", Reason.INVALID_TEXT),
    ("fPort", 256, Reason.INVALID_FIELD),
    ("fPort", True, Reason.INVALID_FIELD),
    ("fPort", "85", Reason.INVALID_FIELD),
    ("fCnt", -1, Reason.INVALID_FIELD),
    ("fCnt", 2**32, Reason.INVALID_FIELD),
    ("fCnt", 4.0, Reason.INVALID_FIELD),
    ("data", "A88AAAAAKCM", Reason.INVALID_FIELD),
    ("data", "03cf 00", Reason.INVALID_FIELD),
    ("data", "ä", Reason.INVALID_FIELD),
    ("rxInfo", {}, Reason.INVALID_FIELD),
    ("rxInfo", [1], Reason.INVALID_FIELD),
    ("rxInfo/0/rssi", "-35", Reason.INVALID_FIELD),
    ("rxInfo/0/snr", True, Reason.INVALID_FIELD),
    ("rxInfo/0/snr", 10**400, Reason.INVALID_FIELD),
    ("time", "2023-05-22T07:47:05", Reason.INVALID_TIMESTAMP),
    ("time", "2023-02-30T07:47:05Z", Reason.INVALID_TIMESTAMP),
    ("time", 1684741625, Reason.INVALID_TIMESTAMP),
]
REFUSED_THINGS_STACK = [
    ("end_device_ids/dev_eui", ..., Reason.MISSING_FIELD),
    ("end_device_ids", "eui", Reason.INVALID_FIELD),
    ("uplink_message", ..., Reason.MISSING_FIELD),
    ("uplink_message/f_port", 1e3, Reason.INVALID_FIELD),
    ("uplink_message/frm_payload", "!", Reason.INVALID_FIELD),
    ("uplink_message/rx_metadata/0/gateway_ids", [], Reason.INVALID_FIELD),
    ("uplink_message/rx_metadata/0/rssi", [], Reason.INVALID_FIELD),
    ("uplink_message/received_at", "yesterday", Reason.INVALID_TIMESTAMP),
]


@pytest.mark.parametrize(("path", "value", "reason"), REFUSED_CHIRPSTACK)
def test_chirpstack_refuses_a_wrong_member(path: str, value: object, reason: Reason) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        chirpstack.decode_uplink(changed(CHIRPSTACK[0]["event"], path, value))
    assert refusal.value.reason is reason


@pytest.mark.parametrize(("path", "value", "reason"), REFUSED_THINGS_STACK)
def test_things_stack_refuses_a_wrong_member(path: str, value: object, reason: Reason) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        things_stack.decode_uplink(changed(THINGS_STACK[0]["event"], path, value))
    assert refusal.value.reason is reason


@pytest.mark.parametrize(("decode", "_event"), SERVERS)
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.EMPTY_PAYLOAD),
        (b" " * (MAX_EVENT_BYTES + 1), Reason.PAYLOAD_TOO_LARGE),
        (b"\xff", Reason.NOT_UTF8),
        (b"{", Reason.INVALID_JSON),
        (b"[]", Reason.NOT_AN_OBJECT),
        (b'{"time":1,"time":2}', Reason.DUPLICATE_KEY),
        (b'{"object":{"a":NaN}}', Reason.INVALID_JSON),
        (b'{"object":{"a":1e999}}', Reason.INVALID_JSON),
        (b'{"object":{"a":' + b"9" * 5000 + b"}}", Reason.INVALID_JSON),
        (b'{"object":' + b"[" * 60_000, Reason.NESTED_TOO_DEEPLY),
    ],
)
def test_what_is_no_strict_json_is_refused(
    decode: Decode, _event: object, payload: bytes, reason: Reason
) -> None:
    with pytest.raises(InvalidPayload) as refusal:
        decode(payload)
    assert refusal.value.reason is reason


@pytest.mark.parametrize(
    ("decode", "event", "times"),
    [
        (chirpstack.decode_uplink, CHIRPSTACK[0]["event"], ["time", "rxInfo"]),
        (
            things_stack.decode_uplink,
            THINGS_STACK[0]["event"],
            ["received_at", "uplink_message/received_at", "uplink_message/rx_metadata"],
        ),
    ],
)
def test_an_event_without_any_time_is_refused(
    decode: Decode, event: dict[str, Any], times: list[str]
) -> None:
    payload = encoded(event)
    for path in times:
        payload = changed(json.loads(payload), path, ...)
    with pytest.raises(InvalidPayload) as refusal:
        decode(payload)
    assert refusal.value.reason is Reason.MISSING_FIELD


def test_the_same_frame_in_two_events_has_one_deduplication_id() -> None:
    """Each with another gateway, time and id of the server."""
    event = CHIRPSTACK[0]["event"]
    near = chirpstack.decode_uplink(encoded(event))
    far_event = json.loads(
        changed(event, "deduplicationId", "b0a3a3a2-0000-4000-8000-000000000000")
    )
    far_event["time"] = "2023-05-22T07:47:07Z"
    far_event["rxInfo"][0] |= {"gatewayId": "far", "rssi": -120, "snr": -12.0}
    far = chirpstack.decode_uplink(encoded(far_event))
    assert near.deduplication_id == far.deduplication_id


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("fCnt", 5),
        ("fPort", 2),
        ("data", "A88AAAAAKCMG"),
        ("devAddr", "20000002"),
        ("deviceInfo/devEui", "1000000000000002"),
    ],
)
def test_another_frame_has_another_deduplication_id(path: str, value: object) -> None:
    """A counter that starts again after a join comes with another address."""
    event = CHIRPSTACK[0]["event"]
    one = chirpstack.decode_uplink(encoded(event))
    other = chirpstack.decode_uplink(changed(event, path, value))
    assert one.deduplication_id != other.deduplication_id


def test_a_reception_without_signal_never_wins() -> None:
    silent, weak = Reception("silent", None, None), Reception("weak", None, -20.0)
    strong = Reception("strong", -140.0, -19.5)
    assert best_reception([silent, weak]) == weak
    assert best_reception([strong, weak, silent]) == strong
    assert best_reception([silent]) == silent


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def paths(event: Any, prefix: str = "") -> list[str]:  # noqa: ANN401 - any JSON
    items = event.items() if isinstance(event, dict) else enumerate(event)
    found = []
    for name, value in items:
        if isinstance(event, dict):
            found.append(f"{prefix}{name}")
        if isinstance(value, dict | list):
            found += paths(value, f"{prefix}{name}/")
    return found


@pytest.mark.parametrize(("decode", "event"), SERVERS)
@given(data=st.data())
def test_any_member_may_be_anything(
    decode: Decode, event: dict[str, Any], data: st.DataObject
) -> None:
    """An uplink or a refusal, never another error."""
    path = data.draw(st.sampled_from(paths(event)))
    payload = changed(event, path, data.draw(JSON))
    try:
        uplink = decode(payload)
    except InvalidPayload:
        return
    assert uplink.observed_at.utcoffset() is not None


@pytest.mark.parametrize(("decode", "_event"), SERVERS)
@given(payload=st.binary(max_size=60) | JSON.map(encoded))
def test_any_payload_is_an_uplink_or_a_refusal(
    decode: Decode, _event: object, payload: bytes
) -> None:
    with pytest.raises(InvalidPayload):
        decode(payload)
