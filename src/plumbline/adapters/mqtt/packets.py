"""The packets of MQTT 3.1.1 that the ingest session sends and takes: bytes only, no socket.

Source: OASIS standard MQTT Version 3.1.1, chapters 2 and 3.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from plumbline.errors import BrokerUnavailable, ConfigurationError
from plumbline.ports import BrokerMessage

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"

_PROTOCOL = b"\x00\x04MQTT\x04"
_USER_AND_PASSWORD = 0xC0  # and neither a clean session nor a will
_CONNACK_HEAD = b"\x20\x02"
_CONNACK_BYTES = 4
_REFUSALS = {
    1: "Unsupported protocol version",
    2: "Client identifier not valid",
    3: "Server unavailable",
    4: "Bad user name or password",
    5: "Not authorized",
}
_PUBLISH, _SUBACK, _PINGRESP = 0x30, 0x90, 0xD0
# With QoS 0 or 1; DUP and RETAIN change nothing for us.
_PUBLISH_MASK = 0xF4
_SHORTEST_SUBACK = 3
_SUBACK_REFUSED = 0x80
_LAST_DIGIT = 0x7F
_LONGEST_TEXT = 0xFFFF


class ProtocolError(BrokerUnavailable):
    """What came is no MQTT 3.1.1, or nothing that a broker may send to a subscriber with QoS 1."""


@dataclass(frozen=True, slots=True)
class Connack:
    """The broker's answer to CONNECT.

    Attributes:
        session_present: False where the broker did not know the session.
        refusal: Why it refuses; None where it does not.
    """

    session_present: bool
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Suback:
    """The broker's answer to SUBSCRIBE, a word for each filter."""

    packet_id: int
    granted: Sequence[bool]


def encode_connect(client_id: str, username: str, password: str, *, keepalive_s: int) -> bytes:
    """Return CONNECT for a session that outlives the connection.

    Raises:
        ConfigurationError: One of them is longer than 65,535 bytes.
    """
    flags_and_keepalive = struct.pack("!BH", _USER_AND_PASSWORD, keepalive_s)
    texts = b"".join(map(_encode_text, (client_id, username, password)))
    return _encode(0x10, _PROTOCOL + flags_and_keepalive + texts)


def encode_subscribe(packet_id: int, topics: Sequence[str]) -> bytes:
    """Return SUBSCRIBE to the filters with QoS 1.

    Raises:
        ConfigurationError: A filter is longer than 65,535 bytes.
    """
    filters = b"".join(_encode_text(topic) + b"\x01" for topic in topics)
    return _encode(0x82, struct.pack("!H", packet_id) + filters)


def encode_pubacks(packet_ids: Sequence[int]) -> bytes:
    """Return a PUBACK for each, in order."""
    return struct.pack(f"!{len(packet_ids)}I", *[0x4002_0000 | number for number in packet_ids])


class PacketReader:
    """Makes messages and answers out of what the broker sends, however it is cut into pieces.

    After an error it stands where it stood: nothing behind the error is ever returned.

    Attributes:
        subacks: Answers to SUBSCRIBE that have come; the caller takes them out.
        taken_bytes: Length of all packets that were taken.
    """

    def __init__(self) -> None:
        self.subacks: list[Suback] = []
        self.taken_bytes = 0
        self._buffer = b""
        self._position = 0
        # Joined only when the packet is whole, so that a large one is not copied at each piece.
        self._parts: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> None:
        """Add what came next."""
        self._parts.append(data)
        self._missing -= len(data)

    def take_connack(self) -> Connack | None:
        """Take the first packet of the connection; None while it is not whole.

        Raises:
            ProtocolError: It is no CONNACK.
        """
        self._join()
        head = self._buffer[:_CONNACK_BYTES]
        if not _CONNACK_HEAD.startswith(head[:2]):
            msg = "it does not speak MQTT"
            raise ProtocolError(msg)
        if len(head) < _CONNACK_BYTES:
            return None
        flags, code = head[2:]
        if flags > 1:
            msg = "it sent a CONNACK with reserved flags"
            raise ProtocolError(msg)
        self._position = _CONNACK_BYTES
        return Connack(bool(flags), _REFUSALS.get(code, f"code {code}") if code else None)

    def take(self, limit: int, received_at: datetime) -> list[BrokerMessage]:
        """Take the messages that are whole, and the answers before the last of them.

        Args:
            limit: Of messages.
            received_at: When the last piece came.

        Raises:
            ProtocolError: See there; the messages before it are not returned either.
        """
        messages: list[BrokerMessage] = []
        if self._missing > 0:
            return messages
        self._join()
        buffer = self._buffer
        position = self._position
        available = len(buffer)
        missing = 0
        while len(messages) < limit:
            start = position + 2
            if start > available:
                missing = start - available
                break
            first = buffer[position]
            length = buffer[position + 1]
            if length > _LAST_DIGIT:
                found = _read_length(buffer, start, length)
                if found is None:
                    missing = 1
                    break
                length, start = found
            end = start + length
            is_message = first & _PUBLISH_MASK == _PUBLISH
            if not is_message:
                _check_answer(first, length)
            if end > available:
                missing = end - available
                break
            if is_message:
                messages.append(_read_message(buffer, start, end, first & 2, received_at))
            elif first == _SUBACK:
                self.subacks.append(_read_suback(buffer[start:end]))
            position = end
        self.taken_bytes += position - self._position
        self._position = position
        self._missing = missing
        return messages

    def _join(self) -> None:
        if self._parts:
            self._buffer = b"".join([self._buffer[self._position :], *self._parts])
            self._position = 0
            self._parts.clear()


def _encode(first: int, body: bytes) -> bytes:
    head = bytearray([first])
    length = len(body)
    while length > _LAST_DIGIT:
        head.append(0x80 | length & _LAST_DIGIT)
        length >>= 7
    head.append(length)
    return bytes(head) + body


def _encode_text(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > _LONGEST_TEXT:
        msg = "MQTT has no place for a user name, password or topic filter of over 65,535 bytes"
        raise ConfigurationError(msg)
    return struct.pack("!H", len(encoded)) + encoded


def _read_length(buffer: bytes, position: int, length: int) -> tuple[int, int] | None:
    """Return the remaining length and where it ends; None where it is not whole.

    Args:
        position: Of its second byte.
        length: Its first byte.
    """
    length &= _LAST_DIGIT
    for shift in (7, 14, 21):
        if position == len(buffer):
            return None
        digit = buffer[position]
        position += 1
        length |= (digit & _LAST_DIGIT) << shift
        if digit <= _LAST_DIGIT:
            return length, position
    msg = "it sent a packet longer than MQTT allows"
    raise ProtocolError(msg)


def _read_message(
    buffer: bytes, start: int, end: int, qos_1: int, received_at: datetime
) -> BrokerMessage:
    """Read a PUBLISH from behind its length on."""
    topic_start = start + 2
    if topic_start > end:
        _refuse_message("without a topic")
    topic_end = topic_start + (buffer[start] << 8 | buffer[start + 1])
    payload_start = topic_end + 2 if qos_1 else topic_end
    if payload_start > end:
        _refuse_message("that ends in its topic")
    packet_id = buffer[topic_end] << 8 | buffer[topic_end + 1] if qos_1 else 0
    if qos_1 and not packet_id:
        _refuse_message("with packet id 0")
    try:
        topic = str(buffer[topic_start:topic_end], "utf-8")
    except UnicodeDecodeError:
        _refuse_message("whose topic is not UTF-8")
    if not topic or "\0" in topic:
        _refuse_message("whose topic is empty or has a NUL")
    return BrokerMessage(topic, buffer[payload_start:end], packet_id, received_at)


def _check_answer(first: int, length: int) -> None:
    """Refuse by its head, before any of it is waited for, what is neither SUBACK nor PINGRESP."""
    if first == _SUBACK and length >= _SHORTEST_SUBACK:
        return
    if first == _PINGRESP and length == 0:
        return
    what = "a message with QoS 2" if first & 0xF0 == _PUBLISH else "a packet that is not for us"
    msg = f"it sent {what} (0x{first:02x}, {length} bytes)"
    raise ProtocolError(msg)


def _read_suback(body: bytes) -> Suback:
    codes = body[2:]
    if any(code > 1 and code != _SUBACK_REFUSED for code in codes):
        msg = "it sent a SUBACK that grants what was not asked for"
        raise ProtocolError(msg)
    return Suback(body[0] << 8 | body[1], [code != _SUBACK_REFUSED for code in codes])


def _refuse_message(how: str) -> NoReturn:
    msg = f"it sent a message {how}"
    raise ProtocolError(msg)
