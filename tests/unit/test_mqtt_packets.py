"""MQTT 3.1.1 in bytes: what the ingest session sends, and what it takes from a broker."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from plumbline.adapters.mqtt.packets import (
    PacketReader,
    ProtocolError,
    Suback,
    encode_connect,
    encode_pubacks,
    encode_subscribe,
)
from plumbline.errors import BrokerUnavailable, ConfigurationError
from plumbline.ports import BrokerMessage

NOW = datetime(2026, 1, 18, 10, 30, tzinfo=UTC)
LATER = datetime(2026, 1, 18, 10, 31, tzinfo=UTC)

QOS_1 = b"\x32\x08\x00\x03a/b\x00\x0ah"
QOS_0 = b"\x30\x07\x00\x03a/bhi"
SUBACK = b"\x90\x04\x00\x01\x01\x80"
PINGRESP = b"\xd0\x00"
STREAM = QOS_1 + SUBACK + QOS_0 + PINGRESP + b"\x3b\x08\x00\x01t\xff\xffxyz"
MESSAGES = [
    BrokerMessage("a/b", b"h", 10, NOW),
    BrokerMessage("a/b", b"hi", 0, NOW),
    BrokerMessage("t", b"xyz", 0xFFFF, NOW),
]


def reader_of(data: bytes) -> PacketReader:
    reader = PacketReader()
    reader.feed(data)
    return reader


def test_connect_asks_for_a_session_that_outlives_the_connection() -> None:
    packet = encode_connect("plumbline-ingest", "user", "päss", keepalive_s=120)
    assert packet == (
        b"\x10\x29\x00\x04MQTT\x04\xc0\x00\x78"
        b"\x00\x10plumbline-ingest\x00\x04user\x00\x05p\xc3\xa4ss"
    )


def test_subscribe_asks_for_qos_1_of_each_filter() -> None:
    packet = encode_subscribe(258, ["tilt/+/telemetry", "ä"])
    assert packet == b"\x82\x1a\x01\x02\x00\x10tilt/+/telemetry\x01\x00\x02\xc3\xa4\x01"


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (125, b"\x82\x7f"),
        (126, b"\x82\x80\x01"),
        (16_381, b"\x82\xff\x7f"),
        (16_382, b"\x82\x80\x80\x01"),
    ],
)
def test_the_length_of_a_packet_takes_as_many_bytes_as_it_needs(length: int, head: bytes) -> None:
    topic = "t" * (length - 3)  # its own length and its QoS
    assert encode_subscribe(1, [topic])[: len(head) + 2] == head + b"\x00\x01"


def test_each_message_is_acknowledged_by_its_id_and_in_order() -> None:
    assert encode_pubacks([1, 65_535, 258]) == b"\x40\x02\x00\x01\x40\x02\xff\xff\x40\x02\x01\x02"


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: encode_connect(text, "u", "p", keepalive_s=1),
        lambda text: encode_connect("c", "u", text, keepalive_s=1),
        lambda text: encode_subscribe(1, ["t", text]),
    ],
)
def test_what_mqtt_has_no_place_for_is_a_configuration_error(
    encode: Callable[[str], bytes],
) -> None:
    assert encode("ä" * 32_767)
    with pytest.raises(ConfigurationError, match="65,535 bytes") as caught:
        encode("ä" * 32_768)
    assert "ä" not in str(caught.value)


@pytest.mark.parametrize(
    ("packet", "session_present", "refusal"),
    [
        (b"\x20\x02\x00\x00", False, None),
        (b"\x20\x02\x01\x00", True, None),
        (b"\x20\x02\x00\x01", False, "Unsupported protocol version"),
        (b"\x20\x02\x00\x02", False, "Client identifier not valid"),
        (b"\x20\x02\x00\x03", False, "Server unavailable"),
        (b"\x20\x02\x00\x04", False, "Bad user name or password"),
        (b"\x20\x02\x00\x05", False, "Not authorized"),
        (b"\x20\x02\x00\x87", False, "code 135"),
    ],
)
def test_a_connack_is_read_byte_by_byte(
    packet: bytes, session_present: object, refusal: str | None
) -> None:
    reader = PacketReader()
    for byte in packet[:3]:
        reader.feed(bytes([byte]))
        assert reader.take_connack() is None
    reader.feed(packet[3:] + QOS_1)
    connack = reader.take_connack()
    assert connack is not None
    assert (connack.session_present, connack.refusal) == (session_present, refusal)
    assert reader.take(9, NOW) == MESSAGES[:1]


@pytest.mark.parametrize(
    "data",
    [b"\x15\x03", b"\x30", b"\x20\x03\x00\x00\x00", b"\x20\x02\x02\x00", b"HTTP/1.1", QOS_1],
)
def test_a_connection_that_does_not_begin_with_a_connack_is_no_brokers(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        reader_of(data).take_connack()


def test_messages_and_answers_are_told_apart_and_kept_in_order() -> None:
    reader = reader_of(STREAM)
    assert reader.take(9, NOW) == MESSAGES
    assert reader.subacks == [Suback(1, [True, False])]
    assert reader.taken_bytes == len(STREAM)


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_stream_cut_at_any_byte_is_the_same_stream(cut: int) -> None:
    reader = reader_of(STREAM[:cut])
    messages = reader.take(9, NOW)
    reader.feed(STREAM[cut:])
    messages += reader.take(9, NOW)
    assert messages == MESSAGES
    assert reader.subacks == [Suback(1, [True, False])]


def test_no_more_than_the_limit_is_taken_and_the_rest_follows() -> None:
    reader = reader_of(STREAM)
    assert reader.take(0, NOW) == []
    assert [reader.take(1, NOW) for _ in MESSAGES] == [[message] for message in MESSAGES]
    assert reader.take(1, NOW) == []


def test_a_message_bears_the_time_of_its_last_piece() -> None:
    reader = reader_of(QOS_1 + QOS_0[:4])
    assert [message.received_at for message in reader.take(9, NOW)] == [NOW]
    reader.feed(QOS_0[4:])
    assert [message.received_at for message in reader.take(9, LATER)] == [LATER]


@pytest.mark.parametrize("size", [0, 120, 121, 16_376, 16_377, 2_097_144, 2_097_145])
def test_a_payload_of_any_length_is_read(size: int) -> None:
    """Remaining lengths of one to four bytes, at their borders: 127, 16,383 and 2,097,151."""
    payload = b"x" * size
    length, digits = size + 7, bytearray()
    while length > 127:
        digits.append(length & 127 | 128)
        length >>= 7
    packet = b"\x32" + bytes([*digits, length]) + b"\x00\x03a/b\x00\x01" + payload
    reader = PacketReader()
    taken = []
    for start in range(0, len(packet), 65_536):
        reader.feed(packet[start : start + 65_536])
        taken += reader.take(9, NOW)
    assert [message.payload for message in taken] == [payload]


def test_a_large_message_in_small_pieces_is_not_copied_at_each() -> None:
    """Copied each time, 64 MB in pieces of 1 KiB would be 2 TB."""
    size = 64_000_000
    packet = b"\x32" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128])
    packet += bytes([size >> 21]) + b"\x00\x01t\x00\x01" + bytes(size - 5)
    reader = PacketReader()
    taken = []
    for start in range(0, len(packet), 1024):
        reader.feed(packet[start : start + 1024])
        taken += reader.take(9, NOW)
    assert [len(message.payload) for message in taken] == [size - 5]


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"\x34\x08\x00\x03a/b\x00\x01h", "a message with QoS 2"),
        (b"\x36\x08\x00\x03a/b\x00\x01h", "a message with QoS 2"),
        (b"\x32\x00", "without a topic"),
        (b"\x32\x01\x00", "without a topic"),
        (b"\x30\x01\x00", "without a topic"),
        (b"\x32\x05\x00\x03a/b", "ends in its topic"),
        (b"\x32\x06\x00\x03a/b\x01", "ends in its topic"),
        (b"\x30\x04\x00\x03a/", "ends in its topic"),
        (b"\x32\x04\xff\xffab", "ends in its topic"),
        (b"\x32\x07\x00\x03a/b\x00\x00", "packet id 0"),
        (b"\x32\x04\x00\x00\x00\x01", "empty or has a NUL"),
        (b"\x30\x02\x00\x00", "empty or has a NUL"),
        (b"\x32\x07\x00\x03a\x00b\x00\x01", "empty or has a NUL"),
        (b"\x32\x07\x00\x03a\xffb\x00\x01", "not UTF-8"),
        (b"\x32\x07\x00\x03\xed\xa0\x80\x00\x01", "not UTF-8"),  # half a surrogate pair
        (b"\x32\x07\x00\x03\xe0\x80\xaf\x00\x01", "not UTF-8"),  # a slash, too long
        (b"\x32\xff\xff\xff\xff\x01", "longer than MQTT allows"),
        (b"\x20\x02\x00\x00", "not for us"),  # a second CONNACK
        (b"\x40\x02\x00\x01", "not for us"),
        (b"\x00\x00", "not for us"),
        (b"\xf0\x00", "not for us"),
        (b"\xd0\x01\x00", "not for us"),
        (b"\xd1\x00", "not for us"),
        (b"\x91\x03\x00\x01\x01", "not for us"),
        (b"\x90\x02\x00\x01", "not for us"),
        (b"\x90\x03\x00\x01\x02", "grants what was not asked for"),
        (b"\x90\x03\x00\x01\x7f", "grants what was not asked for"),
    ],
)
def test_what_breaks_the_protocol_is_an_error_and_hides_what_came_before(
    packet: bytes, why: str
) -> None:
    """Nothing of that read is handed over, so nothing of it is acknowledged."""
    reader = reader_of(QOS_1 + packet + QOS_1)
    for _ in range(2):
        with pytest.raises(ProtocolError, match=why) as caught:
            reader.take(9, NOW)
        assert isinstance(caught.value, BrokerUnavailable)


def test_what_is_not_for_us_is_refused_before_its_body_has_come() -> None:
    """A head that claims 268 MB of it: not waited for."""
    with pytest.raises(ProtocolError, match="268435455 bytes"):
        reader_of(b"\x40\xff\xff\xff\x7f").take(9, NOW)
