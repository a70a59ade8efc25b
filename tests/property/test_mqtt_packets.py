"""The reader of MQTT packets, held against a slow one that reads one packet at a time."""

import struct
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from plumbline.adapters.mqtt.packets import PacketReader, ProtocolError, encode_pubacks
from plumbline.ports import BrokerMessage

NOW = datetime(2026, 1, 18, 10, 30, tzinfo=UTC)

_topics = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)
_messages = st.builds(
    BrokerMessage,
    _topics,
    st.binary(max_size=300),
    st.integers(0, 0xFFFF),
    st.just(NOW),
)


def packet_of(message: BrokerMessage) -> bytes:
    topic = message.topic.encode()
    body = struct.pack("!H", len(topic)) + topic
    body += struct.pack("!H", message.packet_id) if message.packet_id else b""
    body += message.payload
    first = b"\x32" if message.packet_id else b"\x30"
    low, high = len(body) & 127, len(body) >> 7
    return first + (bytes([low | 128, high]) if high else bytes([low])) + body


class Broken(Exception):
    """The bytes are no MQTT, or not for a subscriber with QoS 1."""


def read_slowly(data: bytes) -> tuple[list[BrokerMessage], bool]:
    """Return the messages up to the first error, and whether there was one."""
    messages: list[BrokerMessage] = []
    try:
        while (head := _head(data)) is not None:
            length, start = head
            body, rest = data[start : start + length], data[start + length :]
            _refuse(_is_foreign(data[0], length))
            if len(body) < length:
                break
            if data[0] >> 4 == 3:
                messages.append(_message(body, with_id=bool(data[0] & 2)))
            _refuse(data[0] == 0x90 and bool(set(body[2:]) - {0, 1, 0x80}))
            data = rest
    except (Broken, struct.error, UnicodeDecodeError):
        return messages, True
    return messages, False


def _refuse(condition: bool) -> None:  # noqa: FBT001 - what it says is the whole of it
    if condition:
        raise Broken


def _head(data: bytes) -> tuple[int, int] | None:
    """Return the remaining length and where it ends; None where it is not whole."""
    digits = data[1:5]
    for size in range(1, len(digits) + 1):
        if digits[size - 1] < 128:
            return sum(digit % 128 * 128**n for n, digit in enumerate(digits[:size])), size + 1
    _refuse(len(digits) == 4)
    return None


def _is_foreign(first: int, length: int) -> bool:
    if first >> 4 == 3:
        return first >> 1 & 3 > 1
    return not ((first == 0x90 and length >= 3) or (first == 0xD0 and length == 0))


def _message(body: bytes, *, with_id: bool) -> BrokerMessage:
    (length,) = struct.unpack_from("!H", body)
    topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
    _refuse(len(body) < 2 + length or not topic or "\0" in topic)
    if not with_id:
        return BrokerMessage(topic, rest, 0, NOW)
    (packet_id,) = struct.unpack_from("!H", rest)
    _refuse(packet_id == 0)
    return BrokerMessage(topic, rest[2:], packet_id, NOW)


def read_in_pieces(data: bytes, pieces: list[int], limit: int) -> tuple[list[BrokerMessage], bool]:
    reader = PacketReader()
    messages: list[BrokerMessage] = []
    try:
        for size in [*pieces, len(data)]:
            reader.feed(data[:size])
            data = data[size:]
            while batch := reader.take(limit, NOW):
                assert len(batch) <= limit
                messages += batch
    except ProtocolError:
        return messages, True
    return messages, False


_pieces = st.lists(st.integers(1, 400), max_size=30)


@given(st.lists(_messages, max_size=20), _pieces, st.integers(1, 30))
def test_messages_survive_any_cut_into_pieces_and_any_limit(
    messages: list[BrokerMessage], pieces: list[int], limit: int
) -> None:
    data = b"".join(map(packet_of, messages))
    assert read_in_pieces(data, pieces, limit) == (messages, False)


_packets = st.one_of(
    _messages.map(packet_of),
    st.sampled_from([b"\xd0\x00", b"\x90\x03\x00\x01\x01", b"\x90\x04\x00\x01\x00\x80"]),
    st.tuples(
        st.sampled_from([0x30, 0x31, 0x32, 0x3A, 0x34, 0x36, 0x90, 0xD0, 0x20, 0x40]),
        st.binary(max_size=12),
    ).map(lambda pair: bytes([pair[0], len(pair[1])]) + pair[1]),
    st.binary(max_size=12),
)


@given(st.lists(_packets, max_size=8).map(b"".join), _pieces)
def test_any_bytes_are_read_as_the_slow_reader_reads_them(data: bytes, pieces: list[int]) -> None:
    assert read_in_pieces(data, pieces, limit=1) == read_slowly(data)


@given(st.lists(st.integers(1, 0xFFFF), max_size=50))
def test_every_id_is_acknowledged_once_and_in_order(packet_ids: list[int]) -> None:
    data = encode_pubacks(packet_ids)
    assert list(struct.iter_unpack("!HH", data)) == [(0x4002, number) for number in packet_ids]
