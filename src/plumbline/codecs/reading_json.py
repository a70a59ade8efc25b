"""The document's JSON reading: strict from devices, canonical on the queues."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from plumbline.codecs.strict_json import AmbiguousObject, is_storable_text, parse, parse_time
from plumbline.domain.reading import Reading, Status, format_time, is_angle_deg, is_device_id
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidMessage, InvalidPayload

MAX_PAYLOAD_BYTES = 8192
MAX_DEPTH = 32

# At or above this, an integer time is milliseconds: as seconds it would be the year 5138.
_MILLISECONDS_FROM = 100_000_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATUSES = {status.value: status for status in Status}
_NORMAL = Status.NORMAL
_INT64 = 2**63


# ASCII: SQS refuses some characters that JSON has, such as U+FFFF.
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))

_Angle = Annotated[float, Meta(ge=-180, le=180)]
_Time = TypeVar("_Time")


class _Members(msgspec.Struct, Generic[_Time], forbid_unknown_fields=True, omit_defaults=True):
    """The known members, in the order of `Reading`, by the rules of `_reading` below."""

    device_id: str | None = None
    timestamp: _Time | None = None
    tilt_angle: _Angle | None = None
    status: Status | None = None
    battery_level: Annotated[int, Meta(ge=0, le=100)] | None = None
    tilt_x: _Angle | None = None
    tilt_y: _Angle | None = None
    tilt_z: _Angle | None = None
    temperature: float | None = None
    rssi: float | None = None
    snr: float | None = None
    sequence: Annotated[int, Meta(ge=-_INT64, le=_INT64 - 1)] | None = None


_members_of = msgspec.json.Decoder(_Members[str]).decode
_json_of = msgspec.json.Encoder().encode
_KNOWN = frozenset(_Members.__struct_fields__)


def decode_payload(
    payload: bytes,
    device_id: str,
    *,
    received_at: datetime,
    max_age: timedelta,
    max_ahead: timedelta,
) -> list[Reading | InvalidPayload]:
    """Decode one telemetry payload: an object, or an array of objects.

    Args:
        payload: As the device sent it, at most 8 KiB.
        device_id: From the topic; a ``device_id`` in the body must equal it.
        received_at: Our clock, against which ``max_age`` and ``max_ahead`` are held.
    Returns:
        One entry an object, in order: its reading, or why it is none. Never empty.
    Raises:
        InvalidPayload: Nothing of the payload can be read.
    """
    if len(payload) <= MAX_PAYLOAD_BYTES:
        plain = _plain_reading(payload, device_id)
        if plain is not None and -max_age <= plain.observed_at - received_at <= max_ahead:
            return [plain]
    document = parse(payload, MAX_PAYLOAD_BYTES)
    elements = document if type(document) is list else [document]
    if not elements:
        raise InvalidPayload(Reason.EMPTY_ARRAY)
    window = (received_at - max_age, received_at + max_ahead)
    escapes = b"\\u" in payload
    results: list[Reading | InvalidPayload] = []
    for element in elements:
        try:
            if escapes:
                _require_storable_text(element)
            results.append(_reading(element, device_id, window))
        except InvalidPayload as error:
            results.append(error.as_result())
    return results


def encode_reading(reading: Reading) -> str:
    """Return the canonical JSON of a reading, the body of a queue message.

    Raises:
        ValueError: A number is not finite, or the time has no zone.
    """
    if not reading.extra and reading.observed_at.tzinfo is UTC:
        body = _json_of(_Members(*reading[:-1]))
        if b"null" not in body:  # as msgspec writes what is not finite
            return body.decode()
    members = {
        "device_id": reading.device_id,
        "timestamp": format_time(reading.observed_at),
        "tilt_angle": reading.tilt_angle_deg,
        "status": reading.status.value,
        "battery_level": reading.battery_level_pct,
        "tilt_x": reading.tilt_x_deg,
        "tilt_y": reading.tilt_y_deg,
        "tilt_z": reading.tilt_z_deg,
        "temperature": reading.temperature_c,
        "rssi": reading.rssi_dbm,
        "snr": reading.snr_db,
        "sequence": reading.sequence,
    }
    given = {name: value for name, value in members.items() if value is not None}
    return _ENCODER.encode(given | dict(reading.extra))


def decode_reading(body: str) -> Reading:
    """Decode the body of a queue message; any age.

    Raises:
        InvalidMessage: It is not the JSON of one reading.
    """
    try:
        payload = body.encode()
        plain = _plain_reading(payload, None)
        if plain is not None:
            return plain
        element = parse(payload, None)
        if b"\\u" in payload:
            _require_storable_text(element)
        return _reading(element, None, None)
    except (InvalidPayload, UnicodeEncodeError) as error:
        msg = f"not a reading: {error}"
        raise InvalidMessage(msg) from error


def _plain_reading(payload: bytes, device_id: str | None) -> Reading | None:
    """Decode an object of known members, each once and none of them null, in a quarter of the time.

    What msgspec takes for `_Members`, the strict way takes too, with the same values; only of a key
    that stands twice it does not tell. But an object of n members is written with n - 1 commas at
    least: where there are no more, no member stands twice.

    Returns:
        None where there is anything else to say, which only the strict way does.
    """
    try:
        members = msgspec.structs.astuple(_members_of(payload))
        own_id, timestamp, tilt_angle, status, *others = members
        if payload.count(b",") + 1 != len(members) - members.count(None):
            return None
        observed_at = parse_time(timestamp or "")
    except (msgspec.DecodeError, ValueError, OverflowError):
        return None
    if own_id is None:
        own_id = device_id
    elif own_id != device_id and (device_id is not None or not is_device_id(own_id)):
        return None
    if own_id is None or observed_at is None or tilt_angle is None:
        return None
    return Reading(own_id, observed_at, tilt_angle, status or _NORMAL, *others)


def _reading(
    element: Any,  # noqa: ANN401 - any JSON
    device_id: str | None,
    window: tuple[datetime, datetime] | None,
) -> Reading:
    if type(element) is not dict:
        if type(element) is AmbiguousObject:
            raise InvalidPayload(Reason.DUPLICATE_KEY)
        raise InvalidPayload(Reason.NOT_AN_OBJECT, type(element).__name__)
    get = element.get
    tilt_angle = _tilt_angle(get("tilt_angle"))
    status = _status(get("status"))
    battery = get("battery_level")
    if battery is not None and (type(battery) is not int or not 0 <= battery <= 100):  # noqa: PLR2004 - per cent
        raise InvalidPayload(Reason.INVALID_BATTERY_LEVEL, "an integer, 0 to 100")
    sequence = get("sequence")
    if sequence is not None and (type(sequence) is not int or not -_INT64 <= sequence < _INT64):
        raise InvalidPayload(Reason.INVALID_FIELD, "sequence: a 64-bit integer")
    own_id = _device_id(get("device_id"), device_id)
    observed_at = _time(get("timestamp"))
    if window is not None:
        _require_within(observed_at, *window)
    extra = {key: value for key, value in element.items() if key not in _KNOWN}
    if extra:
        _require_plain(extra)
    return Reading(
        device_id=own_id,
        observed_at=observed_at,
        tilt_angle_deg=tilt_angle,
        status=status,
        battery_level_pct=battery,
        tilt_x_deg=_angle(get("tilt_x"), "tilt_x"),
        tilt_y_deg=_angle(get("tilt_y"), "tilt_y"),
        tilt_z_deg=_angle(get("tilt_z"), "tilt_z"),
        temperature_c=_number(get("temperature"), "temperature"),
        rssi_dbm=_number(get("rssi"), "rssi"),
        snr_db=_number(get("snr"), "snr"),
        sequence=sequence,
        extra=extra,
    )


def _tilt_angle(value: Any) -> float:  # noqa: ANN401 - any JSON
    if value is None:
        raise InvalidPayload(Reason.MISSING_FIELD, "tilt_angle")
    if type(value) not in (float, int) or not is_angle_deg(value):
        raise InvalidPayload(Reason.INVALID_TILT_ANGLE, "a number, -180 to 180 degrees")
    return float(value)


def _status(value: Any) -> Status:  # noqa: ANN401 - any JSON
    if value is None:
        return Status.NORMAL
    if type(value) is not str or value not in _STATUSES:
        raise InvalidPayload(Reason.INVALID_STATUS, "one of " + ", ".join(_STATUSES))
    return _STATUSES[value]


def _device_id(own: Any, expected: str | None) -> str:  # noqa: ANN401 - any JSON
    if own is None or own == expected:
        if expected is None:
            raise InvalidPayload(Reason.MISSING_FIELD, "device_id")
        return expected
    if type(own) is not str or not is_device_id(own):
        raise InvalidPayload(Reason.INVALID_DEVICE_ID, "1 to 50 of A-Z a-z 0-9 _ -")
    if expected is not None and own != expected:
        raise InvalidPayload(Reason.DEVICE_ID_MISMATCH, "the topic names another device")
    return own


def _time(value: Any) -> datetime:  # noqa: ANN401 - any JSON
    if value is None:
        raise InvalidPayload(Reason.MISSING_FIELD, "timestamp")
    try:
        if type(value) is str:
            moment = parse_time(value)
            if moment is not None:
                return moment
        if type(value) is int:
            unit = "milliseconds" if abs(value) >= _MILLISECONDS_FROM else "seconds"
            return _EPOCH + timedelta(**{unit: value})
    except (ValueError, OverflowError) as error:
        raise InvalidPayload(Reason.INVALID_TIMESTAMP, "no such moment") from error
    raise InvalidPayload(
        Reason.INVALID_TIMESTAMP, "RFC 3339 with offset, or integer Unix seconds or milliseconds"
    )


def _require_within(moment: datetime, earliest: datetime, latest: datetime) -> None:
    if moment < earliest:
        raise InvalidPayload(Reason.TIMESTAMP_TOO_OLD, format_time(moment))
    if moment > latest:
        raise InvalidPayload(Reason.TIMESTAMP_IN_FUTURE, format_time(moment))


def _angle(value: Any, name: str) -> float | None:  # noqa: ANN401 - any JSON
    if value is None:
        return None
    if type(value) not in (float, int) or not is_angle_deg(value):
        raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: a number, -180 to 180 degrees")
    return float(value)


def _number(value: Any, name: str) -> float | None:  # noqa: ANN401 - any JSON
    if value is None:
        return None
    try:
        if type(value) in (float, int):
            return float(value)
    except OverflowError as error:
        raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: out of range") from error
    raise InvalidPayload(Reason.INVALID_FIELD, f"{name}: a number")


def _require_plain(extra: dict[str, Any]) -> None:
    """Refuse nesting and ambiguity in unknown fields, which are kept as they came."""
    level: list[Any] = [value for value in extra.values() if isinstance(value, (dict, list))]
    depth = 1
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InvalidPayload(Reason.NESTED_TOO_DEEPLY, f"limit {MAX_DEPTH}")
        below: list[Any] = []
        for value in level:
            if type(value) is AmbiguousObject:
                raise InvalidPayload(Reason.DUPLICATE_KEY)
            children = value.values() if isinstance(value, dict) else value
            below.extend(child for child in children if isinstance(child, (dict, list)))
        level = below


def _require_storable_text(element: Any) -> None:  # noqa: ANN401 - any JSON
    """Refuse NUL and lone surrogates, which only escapes can bring in."""
    pending = [element]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            if not is_storable_text(value):
                raise InvalidPayload(Reason.INVALID_TEXT, "NUL or a lone surrogate")
        elif isinstance(value, dict):
            pending.extend(value)
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
