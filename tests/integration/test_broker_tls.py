"""The TLS listener, and what connects to it."""

import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from draining import TELEMETRY, create_session, numbered, payloads, take
from mqtt_device import MqttDevice
from plumbline.adapters.mqtt.configuration import INGEST_USER
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.errors import BrokerUnavailable
from plumbline.local.servers.tls_files import TlsFiles

if TYPE_CHECKING:
    from conftest import Broker


def tls_url(mosquitto: "Broker", host: str) -> str:
    """Return the TLS listener's URL under that name."""
    plain = mosquitto.user_url(INGEST_USER)
    return plain.replace("mqtt://", "mqtts://").replace(
        f"@{mosquitto.host}:{mosquitto.port}", f"@{host}:{mosquitto.tls_port}"
    )


def test_device_and_drain_speak_over_tls(mosquitto: "Broker") -> None:
    broker = MqttBroker(tls_url(mosquitto, "localhost"), TELEMETRY, ca_file=mosquitto.ca_file)
    create_session(broker)
    password = mosquitto.add_devices("d1")["d1"]
    trusted = ssl.create_default_context(cafile=str(mosquitto.ca_file))
    sent = [*numbered(3000), b"x" * 100_000]
    address = (mosquitto.host, mosquitto.tls_port)
    with MqttDevice(address, "d1", password, tls=trusted) as device:
        device.publish_many("tilt/d1/telemetry", sent)
    assert payloads(take(broker)) == sent
    assert take(broker) == []


def test_the_certificate_is_checked_against_the_endpoints_name_at_every_address(
    mosquitto: "Broker",
) -> None:
    """Nobody's certificate names the tasks' addresses."""
    good, bad = (
        MqttBroker(
            tls_url(mosquitto, host),
            TELEMETRY,
            ca_file=mosquitto.ca_file,
            resolve=lambda _host, _port: [mosquitto.host],
        )
        for host in ("localhost", "other.test")
    )
    create_session(good)
    with pytest.raises(BrokerUnavailable, match="its certificate: Hostname mismatch"):
        create_session(bad)


def test_an_unknown_authority_is_refused(mosquitto: "Broker") -> None:
    broker = MqttBroker(tls_url(mosquitto, "localhost"), TELEMETRY)
    with pytest.raises(BrokerUnavailable, match="its certificate: "):
        create_session(broker)


def test_the_tls_listener_does_not_speak_plain_mqtt(mosquitto: "Broker") -> None:
    url = tls_url(mosquitto, mosquitto.host).replace("mqtts://", "mqtt://")
    with pytest.raises(BrokerUnavailable, match="closed the connection"):
        create_session(MqttBroker(url, TELEMETRY))


def test_the_plain_listener_does_not_speak_tls(mosquitto: "Broker") -> None:
    url = mosquitto.user_url(INGEST_USER).replace("mqtt://", "mqtts://")
    with pytest.raises(BrokerUnavailable):
        create_session(MqttBroker(url, TELEMETRY, ca_file=mosquitto.ca_file))


def test_what_came_in_one_tls_record_is_received_without_waiting_for_more(
    tls_files: TlsFiles,
) -> None:
    """Mosquitto writes a record for each packet; another broker need not.

    What the TLS library has decrypted, the socket does not announce again.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls_files.certificate_file, tls_files.key_file)
    topic = b"tilt/d1/telemetry"
    message = struct.pack("!H", len(topic)) + topic + struct.pack("!H", 7) + b"1"

    def serve(listener: socket.socket) -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(4096)
            connection.sendall(b"\x20\x02\x01\x00")  # CONNACK, session present
            subscribe = connection.recv(4096)
            suback = b"\x90\x03" + subscribe[2:4] + b"\x01"
            connection.sendall(suback + bytes([0x32, len(message)]) + message)
            while connection.recv(4096):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=[listener])
        server.start()
        url = f"mqtts://u:p@127.0.0.1:{listener.getsockname()[1]}"
        broker = MqttBroker(url, TELEMETRY, ca_file=tls_files.ca_file)
        with broker.open(broker.addresses()[0]) as session:
            batch = session.receive(10, linger_s=5, quiet_s=0.3)
        server.join()
    assert payloads(batch) == [b"1"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_old_versions_of_tls_are_refused(mosquitto: "Broker") -> None:
    old = ssl.create_default_context(cafile=str(mosquitto.ca_file))
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="version"):
        MqttDevice((mosquitto.host, mosquitto.tls_port), "d1", "x", tls=old)
