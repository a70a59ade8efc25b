"""The devices' password file in S3."""

from collections.abc import Iterator, Mapping

import pytest
from mypy_boto3_s3 import S3Client

from broker_task import URL, empty_bucket
from contract.sqs_emulator import running_sqs_emulator
from plumbline.adapters.mqtt.shared_credentials import PublishedDevices, SharedCredentials
from plumbline.domain.device import NetworkServer
from plumbline.errors import BrokerUnavailable, ConfigurationError


@pytest.fixture(scope="module")
def endpoint_url() -> Iterator[str]:
    with running_sqs_emulator("s3") as url:
        yield url


@pytest.fixture
def s3(endpoint_url: str) -> Iterator[S3Client]:
    """Yield a client with an empty bucket."""
    with empty_bucket(endpoint_url) as client:
        yield client


def test_what_is_published_is_fetched_once(s3: S3Client) -> None:
    credentials = SharedCredentials(URL, s3)
    nothing = credentials.fetch(None)
    assert nothing == PublishedDevices(None, {})
    assert credentials.fetch(nothing) is None
    credentials.publish(lambda: {"d1": "$7$1$a$b", "d2": "$7$1$c$d"})
    found = credentials.fetch(nothing)
    assert found is not None
    assert found.hashes == {"d1": "$7$1$a$b", "d2": "$7$1$c$d"}
    assert credentials.fetch(found) is None
    credentials.publish(dict)
    emptied = credentials.fetch(found)
    assert emptied is not None
    assert emptied.hashes == {}


@pytest.mark.parametrize("first", [True, False], ids=["new object", "existing object"])
def test_who_was_overtaken_reads_the_registry_again(s3: S3Client, *, first: bool) -> None:
    """Else the device of the faster command would be forgotten."""
    credentials = SharedCredentials(URL, s3)
    registry: dict[str, str] = {"d1": "hash"}
    if not first:
        credentials.publish(lambda: registry)
    reads: list[int] = []

    def current() -> Mapping[str, str]:
        reads.append(1)
        before = dict(registry)
        if len(reads) == 1:
            registry["faster"] = "hash"
            SharedCredentials(URL, s3).publish(lambda: registry)
        return before

    credentials.publish(current)
    found = credentials.fetch(None)
    assert found is not None
    assert found.hashes.keys() == {"d1", "faster"}
    assert len(reads) == 2


def test_a_network_server_keeps_its_password_when_devices_change(s3: S3Client) -> None:
    credentials = SharedCredentials(URL, s3)
    credentials.publish(lambda: {"d1": "hash"})
    first = credentials.renew(NetworkServer.CHIRPSTACK)
    old = credentials.fetch(None)
    credentials.publish(lambda: {"d2": "hash"})
    found = credentials.fetch(None)
    assert old is not None
    assert found is not None
    kept = old.hashes["plumbline-chirpstack"]
    assert found.hashes == {"d2": "hash", "plumbline-chirpstack": kept}
    assert credentials.renew(NetworkServer.CHIRPSTACK) != first
    changed = credentials.fetch(found)
    assert changed is not None
    assert changed.hashes.keys() == {"d2", "plumbline-chirpstack"}
    assert changed.hashes["plumbline-chirpstack"] != kept


def test_s3_that_refuses_is_named(s3: S3Client) -> None:
    credentials = SharedCredentials("s3://plumbline-absent/broker/passwords", s3)
    with pytest.raises(BrokerUnavailable, match="password file in S3"):
        credentials.publish(dict)
    with pytest.raises(BrokerUnavailable, match="password file in S3"):
        credentials.fetch(None)


@pytest.mark.parametrize("url", ["", "s3://bucket", "s3://bucket/", "https://bucket/key"])
def test_a_url_that_is_no_object_is_refused_by_the_settings_name(url: str, s3: S3Client) -> None:
    with pytest.raises(ConfigurationError, match="BROKER_PASSWORDS"):
        SharedCredentials(url, s3)
