"""Damages bytes, and the text of JSON documents by their structure."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

_TELLING_BYTES = (0, 1, 0x20, 0x22, 0x5C, 0x7B, 0x7F, 0x80, 0xC0, 0xED, 0xF4, 0xFE, 0xFF)
_LYING_LENGTHS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
_UNICODE = (
    "\u0000",
    "\uffff",
    "\ufffe",
    "\ufeff",
    "\u2028",
    "\U0001f600",
    "\u0661",
    "\uff11",
    "e\u0301",
)


def damage_bytes(rng: Random, good: bytes, others: Sequence[bytes]) -> bytes:
    """Return the bytes with one to four faults: bits, bytes, spans, lengths, other payloads."""
    found = bytearray(good)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        rng.choice(_FAULTS)(rng, found, others)
    return bytes(found)


def _flip(rng: Random, found: bytearray, _: Sequence[bytes]) -> None:
    if found:
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)


def _set(rng: Random, found: bytearray, _: Sequence[bytes]) -> None:
    if found:
        found[rng.randrange(len(found))] = rng.choice(_TELLING_BYTES)


def _replace(rng: Random, found: bytearray, _: Sequence[bytes]) -> None:
    if found:
        found[rng.randrange(len(found))] = rng.randrange(256)


def _insert(rng: Random, found: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(found) + 1)
    found[at:at] = rng.randbytes(rng.choice((1, 1, 2, 8)))


def _delete(rng: Random, found: bytearray, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(found) + 1)
    del found[start : start + rng.choice((1, 1, 2, 8))]


def _repeat(rng: Random, found: bytearray, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(found) + 1)
    found[start:start] = found[start : start + rng.randrange(1, 16)]


def _truncate(rng: Random, found: bytearray, _: Sequence[bytes]) -> None:
    del found[rng.randrange(len(found) + 1) :]


def _append(rng: Random, found: bytearray, _: Sequence[bytes]) -> None:
    found += rng.randbytes(rng.randrange(1, 12))


def _lie(rng: Random, found: bytearray, _: Sequence[bytes]) -> None:
    """Put a number of 1, 2 or 4 bytes where a length or a count may stand."""
    size = rng.choice((1, 2, 4))
    number = rng.choice(_LYING_LENGTHS) & (1 << 8 * size) - 1
    at = rng.randrange(len(found) + 1)
    found[at : at + size] = number.to_bytes(size, rng.choice(("big", "little")))


def _splice(rng: Random, found: bytearray, others: Sequence[bytes]) -> None:
    other = rng.choice(others) if others else b""
    found[rng.randrange(len(found) + 1) :] = other[rng.randrange(len(other) + 1) :]


def _unicode(rng: Random, found: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(found) + 1)
    found[at:at] = rng.choice(_UNICODE).encode()


_FAULTS: Sequence[Callable[[Random, bytearray, Sequence[bytes]], None]] = (
    _flip,
    _set,
    _replace,
    _insert,
    _delete,
    _repeat,
    _truncate,
    _append,
    _lie,
    _splice,
    _unicode,
)

ODD_VALUES: Sequence[str] = (
    *("0", "-0", "-0.0", "1", "-1", "180", "-180", "180.0000001", "-181", "100", "101", "255"),
    *("1e309", "-1e309", "1e308", "1E400", "5e-324", "1e-400", "0.1e1", "1.0", "85.0"),
    *("NaN", "Infinity", "-Infinity", "nan", "+1", "01", ".5", "1.", "0x10", "1_0", "\u0661"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "4294967296"),
    *("1" + "0" * 400, "9" * 4300, "9" * 4301, "-" + "9" * 400, "0." + "3" * 5000),
    *("true", "false", "null", "None", '""', '"0"', '"1.5"', '"\uff11"', '"normal"', '"alarm"'),
    *(r'"\u0000"', r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d\ude00"', r'"\uD83D"', '"\x01"'),
    *(
        '"\U0001f600"',
        '"\uffff"',
        r'"\ufffe"',
        '"\u2028"',
        '"' + "x" * 50 + '"',
        '"' + "x" * 9000 + '"',
        r'"\x41"',
    ),
    *("[]", "{}", "[[]]", "[null]", '{"a":1}', '{"a":1,"a":2}', '{"a":{"b":[{"c":1,"c":1}]}}'),
    *("[" * 29 + "]" * 29, "[" * 33 + "]" * 33, "[" * 2000 + "]" * 2000, "[" * 4000),
    '{"a":' * 40 + "1" + "}" * 40,
    *('"2026-W03-7"', '"2026-01-18"', '"2026-01-18T10:30:00"', '"2026-01-18T24:00:00Z"'),
    *('"2026-01-18T10:29:60Z"', '"2026-02-30T10:30:00Z"', '"2026-01-18T10:30:00+24:00"'),
    *('"2026-01-18T10:30:00.123456789Z"', '"2026-01-18t10:30:00z"', '"2026-01-18T10:30:00-00:00"'),
    *('"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"0000-00-00T00:00:00Z"'),
    *("1768732200", "1768732200000", "99999999999", "100000000000", "-62135596800", "1e12"),
    *("253402300799", "253402300800000", "1768732200.5", '"1768732200"'),
    *(
        '"not base64"',
        '"A88="',
        '"A88AAAAAKCMH"',
        '"////"',
        '"0000000000000000"',
        '"1000000000000001"',
    ),
    *('"00000000-0000-0000-0000-000000000000"', '"{00000000-0000-0000-0000-000000000000}"'),
)
"""Values as they may stand in a document: at limits, of other types, and some that are no JSON."""

_ODD_KEYS = ('""', '"device_id"', '"Timestamp"', '"\u00e9"', r'"\u0000"', r'"\ud800"', "a", "1")


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a member of an object stands: its key, its value, and the end of the value."""

    key: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON text, and where its values and its objects' members stand.

    Attributes:
        values: Start and end of each value.
        members: Of all its objects.
    """

    text: str
    values: Sequence[tuple[int, int]]
    members: Sequence[_Member]


def document_of(text: str) -> Document:
    """Find the parts of a good JSON text without blanks between its tokens."""
    values: list[tuple[int, int]] = []
    members: list[_Member] = []
    decoder = json.JSONDecoder()

    def value(at: int) -> int:
        end = at
        if text[at] in "[{":
            end += 1
            while text[end] not in "]}":
                end += text[end] == ","
                end = value(end) if text[at] == "[" else member(end)
            end += 1
        else:
            _, end = decoder.raw_decode(text, at)
        values.append((at, end))
        return end

    def member(at: int) -> int:
        _, colon = decoder.raw_decode(text, at)
        end = value(colon + 1)
        members.append(_Member(at, colon + 1, end))
        return end

    value(0)
    return Document(text, values, members)


def damage_document(rng: Random, document: Document, others: Sequence[Document]) -> str:
    """Return the text with one to three faults of structure: values, keys, members, nesting."""
    places = {rng.randrange(len(document.values)) for _ in range(rng.choice((1, 1, 1, 2, 3)))}
    spans = sorted((document.values[place] for place in places), reverse=True)
    text = document.text
    untouched = len(text)
    for start, end in spans:
        if end <= untouched:
            text = text[:start] + _other_value(rng, text[start:end], others) + text[end:]
            untouched = start
    if document.members and rng.random() < 0.4:
        return _damage_member(rng, document, others)
    if rng.random() < 0.1:
        count = rng.choice((1, 2, 3, 20, 200))
        return "[" + ",".join([text] * (count if len(text) * count < 20_000 else 2)) + "]"
    return text


def _other_value(rng: Random, value: str, others: Sequence[Document]) -> str:
    match rng.randrange(8):
        case 0:
            other = rng.choice(others)
            start, end = rng.choice(other.values)
            return other.text[start:end]
        case 1:
            depth = rng.choice((1, 2, 30, 34))
            return "[" * depth + value + "]" * depth
        case 2 if value[0] in "-0123456789":
            return str(rng.choice((-1, 1, 0.001, 10, 1000)) * float(value[:20]))
        case 3 if value[0] == '"' and len(value) > 2:
            at = rng.randrange(1, len(value) - 1)
            inserted = rng.choice(("\\u0000", "\\ud800", "\\", '\\"', "\x7f", "\u00e9", "a", " "))
            return value[:at] + inserted + value[at:]
        case 4:
            return f"{rng.uniform(-200, 200):.{rng.randrange(9)}f}"
        case _:
            return rng.choice(ODD_VALUES)


def _damage_member(rng: Random, document: Document, others: Sequence[Document]) -> str:
    text = document.text
    one = rng.choice(document.members)
    member = text[one.key : one.end]
    match rng.randrange(5):
        case 0:
            after = one.end + (text[one.end] == ",")
            before = one.key - (text[one.end] != "," and text[one.key - 1] == ",")
            return text[:before] + text[after:]
        case 1:
            return text[: one.key] + member + "," + text[one.key :]
        case 2:
            other = rng.choice(others)
            if other.members:
                found = rng.choice(other.members)
                member = other.text[found.key : found.end]
            return text[: one.key] + member + "," + text[one.key :]
        case 3:
            key = rng.choice(
                ('""', '"device_id"', '"Timestamp"', '"\u00e9"', r'"\u0000"', "a", "1")
            )
            return text[: one.key] + key + text[one.value - 1 :]
        case _:
            value = _other_value(rng, text[one.value : one.end], others)
            return (
                text[: one.key] + f"{text[one.key : one.value]}{value},{member}" + text[one.end :]
            )


def any_json(rng: Random, depth: int = 0) -> str:
    """Make up a JSON value, or nearly one."""
    kind = rng.randrange(10 if depth < 4 else 6)
    if kind < 6:
        return rng.choice(ODD_VALUES) if kind else f'"{rng.randrange(10**6):x}"'
    count = rng.randrange(4)
    if kind < 8:
        return "[" + ",".join(any_json(rng, depth + 1) for _ in range(count)) + "]"
    members = (f'"{rng.randrange(9)}":{any_json(rng, depth + 1)}' for _ in range(count))
    return "{" + ",".join(members) + "}"
