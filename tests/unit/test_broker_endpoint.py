"""Where the broker is: URLs, and the addresses behind a name."""

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from plumbline.adapters.mqtt.drain import MqttBroker
from plumbline.adapters.mqtt.endpoint import Endpoint, resolve_host
from plumbline.errors import BrokerUnavailable, ConfigurationError


@pytest.mark.parametrize(
    ("url", "host", "port", "username", "password"),
    [
        ("mqtt://u:p@broker:1884", "broker", 1884, "u", "p"),
        ("mqtt://u:p@broker", "broker", 1883, "u", "p"),
        ("mqtts://u:p@broker", "broker", 8883, "u", "p"),
        ("mqtt://u:p%40%3A%2F@[::1]:1", "::1", 1, "u", "p@:/"),
        ("mqtt://u:@broker", "broker", 1883, "u", ""),
    ],
)
def test_a_url_is_read(url: str, host: str, port: int, username: str, password: str) -> None:
    endpoint = Endpoint.parse(url)
    assert (endpoint.host, endpoint.port) == (host, port)
    assert (endpoint.username, endpoint.password) == (username, password)
    assert (endpoint.tls is not None) == url.startswith("mqtts")


def test_tls_verifies_name_and_certificate() -> None:
    context = Endpoint.parse("mqtts://u:p@broker").tls
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://u:secret@broker", "mqtt:// or mqtts://"),
        ("broker:1883", "mqtt:// or mqtts://"),
        ("mqtt://u:secret@", "no host"),
        ("mqtt://broker:1883", "user name and a password"),
        ("mqtt://u@broker", "user name and a password"),
        ("mqtt://u:secret@broker:99999", "cannot be read"),
        ("mqtt://u:secret@broker:port", "cannot be read"),
        ("mqtt://u:secret@[::1", "cannot be read"),
    ],
)
def test_a_wrong_url_is_a_configuration_error_without_the_password(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Endpoint.parse(url)
    assert "secret" not in str(caught.value)


def test_a_ca_file_that_is_missing_or_no_certificate_is_a_configuration_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "text").write_text("no certificate", "ascii")
    for name in ("missing", "text"):
        with pytest.raises(ConfigurationError, match=name):
            Endpoint.parse("mqtts://u:p@broker", ca_file=tmp_path / name)


def test_the_password_is_not_in_the_representation() -> None:
    assert "secret" not in repr(Endpoint.parse("mqtt://u:secret@broker"))


def test_every_address_is_found_once_and_in_order() -> None:
    found = {"a": ["10.0.0.2", "10.0.0.1", "10.0.0.2"], "b": ["::1"]}
    broker = MqttBroker(
        ["mqtt://u:p@a:1", "mqtt://u:p@b:2"], ["t"], resolve=lambda host, _port: found[host]
    )
    assert broker.addresses() == ["10.0.0.1:1", "10.0.0.2:1", "[::1]:2"]


def test_an_address_that_went_away_is_unavailable() -> None:
    broker = MqttBroker("mqtt://u:p@a:1", ["t"], resolve=lambda _host, _port: ["10.0.0.1"])
    with pytest.raises(BrokerUnavailable, match=r"10\.0\.0\.2:1 is not an address"):
        broker.open("10.0.0.2:1")


def test_a_host_with_both_families_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One task with an IPv4 and an IPv6 address would be drained twice."""
    answers: list[tuple[Any, ...]] = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: answers)
    assert resolve_host("localhost", 1) == ["127.0.0.1"]
    del answers[1]
    assert resolve_host("localhost", 1) == ["::1"]


def test_a_name_that_does_not_resolve_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(BrokerUnavailable, match="broker does not resolve: Name or service"):
        MqttBroker("mqtt://u:p@broker", ["t"]).addresses()
