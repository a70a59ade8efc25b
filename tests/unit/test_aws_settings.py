"""Settings that name hosts, and what becomes of them: URLs, then tokens."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config
from psycopg.conninfo import conninfo_to_dict

from plumbline.adapters.aws_tokens import (
    TOKEN_LIFETIME_S,
    cache_token,
    database_token,
    signing_credentials,
)
from plumbline.adapters.mqtt.endpoint import Endpoint
from plumbline.adapters.postgres.access import connection_url
from plumbline.adapters.redis_access import split_url
from plumbline.errors import ConfigurationError
from plumbline.settings import Db1Settings, ParsingSettings, SyncSettings, load

REGION = "eu-central-1"
DATABASE = {
    "DATABASE_HOST": "aurora.example",
    "DATABASE_USER": "plumbline_db1",
    "AWS_REGION": REGION,
}
CACHE = {
    "REDIS_HOST": "redis.example",
    "REDIS_NAME": "redis-tilt",
    "REDIS_USER": "plumbline-sync",
    "AWS_REGION": REGION,
}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    signing_credentials.cache_clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    yield
    signing_credentials.cache_clear()


def test_a_database_host_stands_for_a_url_whose_connections_verify_the_server() -> None:
    url = load(Db1Settings, {**DATABASE, "DATABASE_CA_FILE": "/var/task/rds-ca.pem"}).database_url
    made = conninfo_to_dict(connection_url(url.reveal()))
    token = made.pop("password")
    assert made == {
        "host": "aurora.example",
        "port": "5432",
        "dbname": "plumbline",
        "user": "plumbline_db1",
        "sslmode": "verify-full",
        "sslrootcert": "/var/task/rds-ca.pem",
    }
    assert str(token).startswith("aurora.example:5432/?Action=connect&DBUser=plumbline_db1&X-Amz-")


def test_without_a_ca_file_the_systems_authorities_are_trusted() -> None:
    url = load(Db1Settings, DATABASE).database_url.reveal()
    assert conninfo_to_dict(connection_url(url))["sslrootcert"] == "system"


def test_a_url_of_libpq_is_left_alone() -> None:
    url = "postgresql://user:secret@host:1/name?sslmode=disable"
    assert connection_url(url) == url


def test_a_database_token_is_the_one_that_boto3_makes() -> None:
    client = boto3.client("rds", region_name=REGION, config=Config(signature_version="v4"))
    for _ in range(5):  # the second may change between the two
        ours = database_token("aurora.example", 5432, "plumbline_db1", REGION)
        theirs = client.generate_db_auth_token("aurora.example", 5432, "plumbline_db1", REGION)
        if ours == theirs:
            return
    assert ours == theirs


def test_a_cache_token_is_signed_for_its_group_and_user() -> None:
    token = cache_token("redis-tilt", "plumbline-sync", REGION)
    parts = urlsplit(f"//{token}")
    query = {name: value for name, [value] in parse_qs(parts.query).items()}
    assert parts.netloc == "redis-tilt"
    assert (query["Action"], query["User"]) == ("connect", "plumbline-sync")
    assert query["X-Amz-Expires"] == str(TOKEN_LIFETIME_S) == "900"
    assert query["X-Amz-Credential"].endswith(f"/{REGION}/elasticache/aws4_request")
    assert len(query["X-Amz-Signature"]) == 64


def test_a_redis_host_is_reached_with_tls_and_a_token() -> None:
    url = load(SyncSettings, {**DATABASE, **CACHE}).redis_url.reveal()
    plain, sign_in = split_url(url)
    assert plain == "rediss://redis.example:6379/0"
    assert sign_in is not None
    user, token = sign_in()
    assert user == "plumbline-sync"
    assert token.startswith("redis-tilt/?Action=connect&User=plumbline-sync&")
    assert split_url("redis://:secret@host") == ("redis://:secret@host", None)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "DATABASE_URL is not set, nor is DATABASE_HOST"),
        ({**DATABASE, "DATABASE_URL": "postgresql://x"}, "DATABASE_URL and DATABASE_HOST"),
        ({**DATABASE, "DATABASE_USER": ""}, "DATABASE_USER is not set"),
        ({**DATABASE, "AWS_REGION": ""}, "AWS_REGION is not set"),
        ({**DATABASE, "DATABASE_SECRET": "arn"}, "DATABASE_USER and DATABASE_SECRET"),
        (DATABASE, "REDIS_URL is not set, nor is REDIS_HOST"),
        ({**DATABASE, **CACHE, "REDIS_URL": "redis://x"}, "REDIS_URL and REDIS_HOST"),
        ({**DATABASE, **CACHE, "REDIS_NAME": ""}, "REDIS_NAME is not set"),
        ({**DATABASE, **CACHE, "REDIS_USER": ""}, "REDIS_USER is not set"),
    ],
)
def test_both_or_neither_or_a_part_is_refused_by_name(
    environment: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(SyncSettings, environment)


def test_a_brokers_password_may_be_a_secret_and_its_ca_a_text() -> None:
    environment = {
        "BROKER_ENDPOINT": "mqtts://plumbline-ingest@broker.example:8883",
        "BROKER_PASSWORD_SECRET": "arn:aws:secretsmanager:eu-central-1:1:secret:a-b",
        "BROKER_CA_PEM": "-----BEGIN CERTIFICATE-----\nx+y/z=\n-----END CERTIFICATE-----\n",
        "DISTRIBUTING_QUEUE_URL": "https://sqs",
        "AWS_REGION": REGION,
    }
    endpoint = urlsplit(load(ParsingSettings, environment).broker_endpoint.reveal())
    assert parse_qs(endpoint.query) == {
        "password_secret": [environment["BROKER_PASSWORD_SECRET"]],
        "region": [REGION],
        "ca_pem": [environment["BROKER_CA_PEM"]],
    }
    with pytest.raises(ConfigurationError, match="BROKER_CA_FILE and BROKER_CA_PEM"):
        load(ParsingSettings, {**environment, "BROKER_CA_FILE": "/ca.pem"})


def test_a_broker_url_with_two_passwords_or_none_is_refused() -> None:
    for url in ("mqtt://user@host", "mqtt://user:word@host?password_secret=arn&region=x"):
        with pytest.raises(ConfigurationError, match="needs a user name and a password"):
            Endpoint.parse(url)


def test_a_ca_text_that_is_none_is_named() -> None:
    with pytest.raises(ConfigurationError, match="BROKER_CA_PEM cannot be read"):
        Endpoint.parse("mqtts://user:word@host?ca_pem=nonsense")


@pytest.mark.parametrize(
    "url", ["postgresql+iam://user@host/db", "postgresql+secret:///db?region=x&secret=y"]
)
def test_a_database_url_that_lacks_a_part_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="needs a host and"):
        connection_url(url)
