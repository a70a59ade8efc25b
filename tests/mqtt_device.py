"""A device for tests: a plain MQTT 3.1.1 client that counts every acknowledgement it gets."""

import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13
NOT_AUTHORISED = 5

_WINDOW = 500
_TIMEOUT_S = 10.0


class Refused(Exception):
    """The broker answered the connection with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"CONNACK {code}")
        self.code = code


class MqttDevice:
    """One connection.

    Args:
        address: Host and port.
        username: None connects without user and password.
        password: Of the user.
        client_id: Instead of the user name.
        clean_session: False asks for the session that the broker may have kept.
        tls: Context for a TLS listener.

    Raises:
        Refused: The broker refused the connection.
        ConnectionError: It closed the connection without a word.
    """

    def __init__(  # noqa: PLR0913 - each is one field of the protocol's first packet
        self,
        address: tuple[str, int],
        username: str | None,
        password: str = "",
        *,
        client_id: str | None = None,
        clean_session: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.acknowledged = 0
        self._inbox: deque[tuple[str, bytes]] = deque()
        self._buffer = bytearray()
        self._socket = socket.create_connection(address, _TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if tls is not None:
                self._socket = tls.wrap_socket(self._socket, server_hostname="localhost")
            self.session_present = self._connect(username, password, client_id, clean_session)
        except BaseException:
            self._socket.close()
            raise

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish one message, and wait for its acknowledgement."""
        self._send(0x30 | qos << 1 | retain, _publish_body(topic, payload, qos, 1))
        if qos:
            self._wait_for(PUBACK)
            self.acknowledged += 1

    def publish_many(self, topic: str, payloads: Iterable[bytes], *, qos: int = 1) -> int:
        """Publish many on one topic; see publish_each."""
        return self.publish_each(((topic, payload) for payload in payloads), qos=qos)

    def publish_each(self, messages: Iterable[tuple[str, bytes]], *, qos: int = 1) -> int:
        """Publish many; return how many were acknowledged when the last was, or the broker went.

        QoS 0: when the broker has read them all.
        """
        sent, first = 0, self.acknowledged
        try:
            for topic, payload in messages:
                packet_id = sent % 0xFFFF + 1
                self._send(0x30 | qos << 1, _publish_body(topic, payload, qos, packet_id))
                sent += 1
                while qos and sent - (self.acknowledged - first) >= _WINDOW:
                    self._count_acknowledgement()
            while qos and self.acknowledged - first < sent:
                self._count_acknowledgement()
            if not qos:
                self.ping()
        except ConnectionError:
            pass  # what was acknowledged until then is the answer
        return self.acknowledged - first

    def subscribe(self, topic: str, qos: int = 1) -> int:
        """Subscribe; return the granted QoS, 128 for a refusal."""
        self._send(0x82, struct.pack("!H", 1) + _text(topic) + bytes([qos]))
        return self._wait_for(SUBACK)[1][2]

    def messages(self, timeout_s: float, count: int = 1) -> list[tuple[str, bytes]]:
        """Return topic and payload of what comes, at most ``count``, until the time is up."""
        deadline = time.monotonic() + timeout_s
        while len(self._inbox) < count:
            try:
                self._take(self._packet(deadline))
            except TimeoutError:
                break
        return [self._inbox.popleft() for _ in range(min(count, len(self._inbox)))]

    def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            ConnectionError: There is none.
        """
        self._send(0xC0, b"")
        self._wait_for(PINGRESP)

    def is_alive(self) -> bool:
        """Tell whether the broker still serves this connection."""
        try:
            self.ping()
        except ConnectionError:
            return False
        return True

    def close(self) -> None:
        """Disconnect in good order, and wait until the broker has read it all."""
        try:
            self._send(0xE0, b"")
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(65536):
                pass
        except OSError:
            pass  # the broker was first
        finally:
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _connect(
        self, username: str | None, password: str, client_id: str | None, clean_session: object
    ) -> bool:
        flags = (2 if clean_session else 0) | (0 if username is None else 0xC0)
        fields = [client_id if client_id is not None else username or ""]
        fields += [] if username is None else [username, password]
        head = _text("MQTT") + bytes([4, flags]) + struct.pack("!H", 0)  # no keep-alive
        self._send(0x10, head + b"".join(map(_text, fields)))
        _, (flags, code) = self._wait_for(CONNACK)
        if code:
            raise Refused(code)
        return bool(flags & 1)

    def _count_acknowledgement(self) -> None:
        self._wait_for(PUBACK)
        self.acknowledged += 1

    def _send(self, first: int, body: bytes) -> None:
        self._socket.settimeout(_TIMEOUT_S)
        self._socket.sendall(bytes([first]) + _length(len(body)) + body)

    def _wait_for(self, kind: int) -> tuple[int, bytes]:
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            first, body = self._packet(deadline)
            if first >> 4 == kind:
                return first, body
            self._take((first, body))

    def _take(self, packet: tuple[int, bytes]) -> None:
        first, body = packet
        if first >> 4 != PUBLISH:
            return
        (length,) = struct.unpack_from("!H", body)
        start = 2 + length
        if first & 6:
            self._send(0x40, body[start : start + 2])
            start += 2
        self._inbox.append((body[2 : 2 + length].decode(), body[start:]))

    def _packet(self, deadline: float) -> tuple[int, bytes]:
        while True:
            found = _split(self._buffer)
            if found is not None:
                return found
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._socket.recv(65536)
            if not data:
                msg = "the broker closed the connection"
                raise ConnectionError(msg)
            self._buffer += data


def _publish_body(topic: str, payload: bytes, qos: int, packet_id: int) -> bytes:
    return _text(topic) + (struct.pack("!H", packet_id) if qos else b"") + payload


def _split(buffer: bytearray) -> tuple[int, bytes] | None:
    """Take the first whole packet off the buffer."""
    length, shift = 0, 0
    for position in range(1, min(5, len(buffer))):
        length |= (buffer[position] & 127) << shift
        shift += 7
        if buffer[position] < 128:
            end = position + 1 + length
            if len(buffer) < end:
                return None
            packet = buffer[0], bytes(buffer[position + 1 : end])
            del buffer[:end]
            return packet
    return None


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("!H", len(encoded)) + encoded


def _length(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, digit = value >> 7, value & 127
        encoded.append(digit | (128 if value else 0))
        if not value:
            return bytes(encoded)
