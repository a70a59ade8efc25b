"""The ingest session at brokers that Mosquitto is not: broken, silent, slow, hostile.

A script plays the broker over a real socket, and keeps all that the session sends.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from draining import TELEMETRY, payloads
from plumbline.adapters.clock import SystemClock
from plumbline.adapters.mqtt.configuration import INGEST_USER
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.mqtt.endpoint import Endpoint
from plumbline.adapters.mqtt.session import MqttSession, Timeouts
from plumbline.errors import BrokerUnavailable
from plumbline.local.servers.tls_files import TlsFiles

if TYPE_CHECKING:
    from conftest import Broker

Script = Callable[[socket.socket], None]

NEW, PRESENT = b"\x20\x02\x00\x00", b"\x20\x02\x01\x00"
SUBACK = b"\x90\x03\x00\x01\x01"
PINGREQ, PINGRESP, DISCONNECT = b"\xc0\x00", b"\xd0\x00", b"\xe0\x00"
_TIMEOUT_S = 20.0
_TIMEOUTS = Timeouts()


def message(packet_id: int, payload: bytes = b"x") -> bytes:
    """Return a PUBLISH with QoS 1 of at most 100 bytes."""
    body = b"\x00\x01t" + packet_id.to_bytes(2, "big") + payload
    return bytes([0x32, len(body)]) + body


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the other side has sent everything."""
    data = b""
    while chunk := connection.recv(1 << 20):
        data += chunk
    return data


@dataclass(frozen=True, slots=True)
class Played:
    """A broker that plays a script to the first that connects.

    Attributes:
        rest: All that came behind the script, until the session closed.
    """

    address: str
    port: int
    scheme: str
    rest: "Future[bytes]"

    @property
    def url(self) -> str:
        """URL with a user and a password."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://u:p@{host}:{self.port}"

    def session(self, timeouts: Timeouts = _TIMEOUTS) -> MqttSession:
        """Connect."""
        endpoint = Endpoint.parse(self.url)
        return MqttSession(
            "played", self.address, endpoint, "c", clock=SystemClock(), timeouts=timeouts
        )


@contextmanager
def played(
    script: Script,
    *,
    address: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    receive_buffer: int | None = None,
) -> Iterator[Played]:
    """Yield the broker; CONNECT is read before the script begins."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.create_server((address, 0), family=family) as listener,
        ThreadPoolExecutor(1) as pool,
    ):
        listener.settimeout(_TIMEOUT_S)
        if receive_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

        def serve() -> bytes:
            connection, _ = listener.accept()
            connection.settimeout(_TIMEOUT_S)
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            with connection:
                assert connection.recv(1000)[:1] == b"\x10"
                script(connection)
                return read_all(connection)

        scheme = "mqtt" if tls is None else "mqtts"
        yield Played(address, listener.getsockname()[1], scheme, pool.submit(serve))


def says(*packets: bytes) -> Script:
    """Return a script that sends these, at once."""
    return lambda connection: connection.sendall(b"".join(packets))


def subscribed(*packets: bytes) -> Script:
    """Return a script that reads SUBSCRIBE before it goes on."""

    def script(connection: socket.socket) -> None:
        connection.sendall(packets[0])
        assert connection.recv(1000)[:1] == b"\x82"
        connection.sendall(b"".join(packets[1:]))

    return script


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x34\x06\x00\x01t\x00\x03x",  # QoS 2
        b"\x32\x05\x00\x01t\x00\x00",
        b"\x32\x04\x00\x09t\x00",
        b"\x32\x05\x00\x01\xff\x00\x03",
        b"\x32\xff\xff\xff\xff",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        NEW,
    ],
)
def test_garbage_is_an_error_and_nothing_before_it_is_acknowledged(garbage: bytes) -> None:
    with played(says(PRESENT, message(1), message(2), garbage)) as broker:
        with broker.session() as session:
            for _ in range(2):
                with pytest.raises(BrokerUnavailable, match="broker played: it sent "):
                    session.receive(10, linger_s=5, quiet_s=1)
        assert broker.rest.result() == DISCONNECT


def test_after_an_error_nothing_is_acknowledged_any_more() -> None:
    with played(says(PRESENT, message(1), message(2), NEW)) as broker:
        with broker.session() as session:
            batch = session.receive(1, linger_s=5, quiet_s=1)
            with pytest.raises(BrokerUnavailable, match="not for us"):
                session.receive(10, linger_s=5, quiet_s=1)
            with pytest.raises(BrokerUnavailable, match="not for us"):
                session.acknowledge(batch)
        assert broker.rest.result() == DISCONNECT


@pytest.mark.parametrize("first", [message(1), b"HTTP/1.1 400", b"\x20\x02\x04\x00"])
def test_what_does_not_begin_with_a_connack_is_no_broker(first: bytes) -> None:
    with played(says(first)) as broker:
        with pytest.raises(BrokerUnavailable, match="broker played: it "):
            broker.session()
        assert broker.rest.result() == b""


def test_a_broker_that_refuses_and_closes_is_heard_out() -> None:
    with (
        played(lambda connection: connection.sendall(b"\x20\x02\x00\x03")) as broker,
        pytest.raises(BrokerUnavailable, match="refused the connection: Server unavailable"),
    ):
        broker.session()


def test_a_packet_that_ends_in_the_middle_is_a_broken_connection() -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(PRESENT + message(1) + message(2)[:-1])
        connection.shutdown(socket.SHUT_WR)

    with (
        played(script) as broker,
        broker.session() as session,
        pytest.raises(BrokerUnavailable, match="closed the connection"),
    ):
        session.receive(10, linger_s=5, quiet_s=1)


def test_a_refused_filter_of_a_new_session_is_named_at_once() -> None:
    with played(subscribed(NEW, b"\x90\x04\x00\x01\x01\x80")) as broker:
        drain = MqttBroker(broker.url, ["a/#", "b/#"])
        with pytest.raises(BrokerUnavailable, match=r"refused the subscription to b/#$"):
            drain.open(drain.addresses()[0])
        assert broker.rest.result() == DISCONNECT


def test_a_refused_filter_of_a_session_that_exists_shows_at_a_later_call() -> None:
    with played(subscribed(PRESENT, message(1), b"\x90\x03\x00\x01\x80")) as broker:
        drain = MqttBroker(broker.url, ["a/#"])
        with drain.open(drain.addresses()[0]) as session:
            assert len(session.receive(1, linger_s=5, quiet_s=1)) == 1
            with pytest.raises(BrokerUnavailable, match=r"refused the subscription to a/#$"):
                session.receive(1, linger_s=5, quiet_s=1)


@pytest.mark.parametrize("suback", [b"\x90\x03\x00\x02\x01", b"\x90\x04\x00\x01\x01\x01"])
def test_a_suback_to_another_question_grants_nothing(suback: bytes) -> None:
    granted: list[str] = []
    with played(subscribed(NEW, suback)) as broker, broker.session() as session:
        with pytest.raises(BrokerUnavailable, match="SUBACK to another question"):
            session.subscribe(["a/#"], done=lambda: granted.append("a/#"))
        assert granted == []


def test_what_comes_before_the_broker_grants_the_filters_is_handed_over() -> None:
    """Mosquitto sends retained messages before its SUBACK."""
    before = [message(number, b"%d" % number) for number in (1, 2, 3)]
    with played(subscribed(NEW, *before, SUBACK, message(4, b"4"))) as broker:
        drain = MqttBroker(broker.url, ["t"])
        with drain.open(drain.addresses()[0]) as session:
            batches = [session.receive(2, linger_s=5, quiet_s=0.5) for _ in range(3)]
            for batch in batches:
                session.acknowledge(batch)
        assert [payloads(batch) for batch in batches] == [[b"1", b"2"], [b"3", b"4"], []]
        acknowledged = b"".join(b"\x40\x02\x00" + bytes([number]) for number in (1, 2, 3, 4))
        assert broker.rest.result() == acknowledged + DISCONNECT


def test_a_message_of_any_size_comes_whole() -> None:
    """Refused, it would come again for ever, and nothing behind it would ever come."""
    payload = bytes(range(256)) * 80_000
    length = len(payload) + 5
    digits = [length & 127 | 128, length >> 7 & 127 | 128, length >> 14 & 127 | 128, length >> 21]
    packet = b"\x32" + bytes(digits) + b"\x00\x01t\x00\x07" + payload
    with played(says(PRESENT, packet, message(8))) as broker, broker.session() as session:
        batch = session.receive(2, linger_s=10, quiet_s=5)
        while len(batch) < 2:  # a batch ends at 16 MiB
            batch += session.receive(1, linger_s=10, quiet_s=5)
        assert payloads(batch) == [payload, b"x"]


def test_a_message_bears_the_time_when_it_came() -> None:
    release = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(PRESENT)
        assert release.wait(_TIMEOUT_S)
        connection.sendall(message(1))

    with played(script) as broker, broker.session() as session:
        assert session.receive(1, linger_s=0.05, quiet_s=0.05) == []
        before = datetime.now(UTC)
        release.set()
        [one] = session.receive(1, linger_s=5, quiet_s=5)
        assert before <= one.received_at <= datetime.now(UTC)


def test_an_idle_session_says_that_it_lives() -> None:
    pings: list[bytes] = []

    def script(connection: socket.socket) -> None:
        connection.sendall(PRESENT)
        for _ in range(2):
            pings.append(connection.recv(100))
            connection.sendall(PINGRESP)

    with played(script) as broker:
        with broker.session(Timeouts(keepalive_s=1)) as session:
            assert session.receive(10, linger_s=2.8, quiet_s=2.8) == []
        assert broker.rest.result() == DISCONNECT
    assert pings == [PINGREQ, PINGREQ]


def test_mosquitto_keeps_an_idle_session(mosquitto: "Broker") -> None:
    """It ends a connection that is silent for one and a half times the keep-alive."""
    endpoint = Endpoint.parse(mosquitto.user_url(INGEST_USER))
    timeouts = Timeouts(keepalive_s=1)
    with MqttSession(
        "a", mosquitto.host, endpoint, INGEST_USER, clock=SystemClock(), timeouts=timeouts
    ) as session:
        assert session.receive(10, linger_s=4, quiet_s=4) == []
        assert session.receive(10, linger_s=0.1, quiet_s=0.1) == []


def test_a_broker_that_answers_no_ping_is_gone() -> None:
    with (
        played(says(PRESENT)) as broker,
        broker.session(Timeouts(keepalive_s=1)) as session,
        pytest.raises(BrokerUnavailable, match="does not answer"),
    ):
        session.receive(10, linger_s=10, quiet_s=10)


def test_acknowledgements_that_the_broker_takes_slowly_arrive_whole() -> None:
    release = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(PRESENT + message(0x0102))
        assert release.wait(_TIMEOUT_S)

    with played(script, receive_buffer=4096) as broker:
        with broker.session() as session:
            batch = session.receive(1, linger_s=5, quiet_s=1)
            threading.Timer(0.2, release.set).start()
            session.acknowledge(batch * 2_000_000)
        assert broker.rest.result() == b"\x40\x02\x01\x02" * 2_000_000 + DISCONNECT


def test_a_broker_that_takes_no_acknowledgements_gets_nothing_behind_half_a_one() -> None:
    """A PUBACK cut off before its id, and DISCONNECT behind it, would be another message's."""
    release = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(PRESENT + message(0x0102))
        assert release.wait(_TIMEOUT_S)

    with played(script, receive_buffer=4096) as broker:
        with broker.session(Timeouts(write_s=0.2)) as session:
            batch = session.receive(1, linger_s=5, quiet_s=1)
            with pytest.raises(BrokerUnavailable, match="takes no acknowledgements"):
                session.acknowledge(batch * 5_000_000)
            release.set()
        rest = broker.rest.result()
    assert rest == (b"\x40\x02\x01\x02" * (len(rest) // 4 + 1))[: len(rest)]


def test_a_message_with_qos_0_is_not_acknowledged() -> None:
    with played(says(PRESENT, b"\x30\x04\x00\x01tx", message(1))) as broker:
        with broker.session() as session:
            batch = session.receive(2, linger_s=5, quiet_s=1)
            assert [one.packet_id for one in batch] == [0, 1]
            session.acknowledge(batch[:1])
            session.acknowledge(batch)
        assert broker.rest.result() == b"\x40\x02\x00\x01" + DISCONNECT


def test_a_closed_session_sends_nothing() -> None:
    with played(says(PRESENT, message(1))) as broker:
        with broker.session() as session:
            batch = session.receive(1, linger_s=5, quiet_s=1)
        session.close()
        with pytest.raises(BrokerUnavailable, match="the session is closed"):
            session.acknowledge(batch)
        assert broker.rest.result() == DISCONNECT


def test_a_broker_with_an_ipv6_address_is_drained() -> None:
    with played(subscribed(NEW, SUBACK, message(1, b"six")), address="::1") as broker:
        drain = MqttBroker(broker.url, TELEMETRY)
        assert drain.addresses() == [f"[::1]:{broker.port}"]
        with drain.open(drain.addresses()[0]) as session:
            assert payloads(session.receive(1, linger_s=5, quiet_s=1)) == [b"six"]


def test_a_listener_that_never_finishes_the_handshake_is_an_error_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = MqttBroker(f"mqtts://u:p@127.0.0.1:{silent.getsockname()[1]}", TELEMETRY)
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="timed out"):
            broker.open(broker.addresses()[0])
        assert time.monotonic() - started < 8


def test_messages_cut_into_any_records_of_tls_come_whole(tls_files: TlsFiles) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls_files.certificate_file, tls_files.key_file)
    sent = [b"%d" % number for number in range(300)]
    stream = b"".join(message(number + 1, payload) for number, payload in enumerate(sent))

    def script(connection: socket.socket) -> None:
        connection.sendall(NEW)
        assert connection.recv(1000)[:1] == b"\x82"
        connection.sendall(SUBACK)
        for start in range(0, len(stream), 7):
            connection.sendall(stream[start : start + 7])

    with played(script, tls=context) as broker:
        drain = MqttBroker(broker.url, TELEMETRY, ca_file=tls_files.ca_file)
        with drain.open(drain.addresses()[0]) as session:
            batch = session.receive(300, linger_s=10, quiet_s=5)
            session.acknowledge(batch)
        acknowledged = b"".join(b"\x40\x02" + n.to_bytes(2, "big") for n in range(1, 301))
        assert broker.rest.result() == acknowledged + DISCONNECT
    assert payloads(batch) == sent
