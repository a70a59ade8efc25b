"""The TLS listener, and what connects to it."""

import ssl
from typing import TYPE_CHECKING

import pytest

from draining import TELEMETRY, create_session, numbered, payloads, take
from mqtt_device import MqttDevice
from plumbline.adapters.mqtt.configuration import INGEST_USER
from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.errors import BrokerUnavailable

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


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_old_versions_of_tls_are_refused(mosquitto: "Broker") -> None:
    old = ssl.create_default_context(cafile=str(mosquitto.ca_file))
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="version"):
        MqttDevice((mosquitto.host, mosquitto.tls_port), "d1", "x", tls=old)
