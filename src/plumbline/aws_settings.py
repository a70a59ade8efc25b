"""Settings that name a host in the place of a URL: no password, a token of IAM instead.

They become the URLs that everything else works with; a token is signed when a connection is opened.

::

    DATABASE_HOST …            postgresql+iam://user@host:port/name?region=…&sslrootcert=…
    DATABASE_HOST …_SECRET     postgresql+secret://host:port/name?secret=…&region=…&sslrootcert=…
    REDIS_HOST …               rediss+iam://user@host:port/0?name=…&region=…
    BROKER_PASSWORD_SECRET     …?password_secret=…&region=…   at the end of BROKER_ENDPOINT
    BROKER_CA_PEM              …?ca_pem=…                     likewise
"""

from collections.abc import Callable, Mapping
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Meta

from plumbline.errors import ConfigurationError

_HOST = Meta(description="Of the cluster, in the place of `DATABASE_URL`; IAM signs in.")
_REGION = Meta(description="Whose services; Lambda sets it.")


class AwsDatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of every entry point that takes DATABASE_URL, in its place."""

    database_host: Annotated[str | None, _HOST] = None
    database_port: Annotated[int, Meta(ge=1, le=65535, description="Its port.")] = 5432
    database_name: Annotated[str, Meta(description="Of the database.")] = "plumbline"
    database_user: Annotated[
        str | None, Meta(description="A role that is a member of `rds_iam`.")
    ] = None
    database_secret: Annotated[
        str | None,
        Meta(
            description="In the place of `DATABASE_USER`: secret with user and password, as RDS"
            " keeps that of the master user."
        ),
    ] = None
    database_ca_file: Annotated[
        str | None,
        Meta(description="Certificate authorities of RDS; the system's where absent."),
    ] = None
    aws_region: Annotated[str | None, _REGION] = None


class AwsCacheSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of every entry point that takes REDIS_URL, in its place."""

    redis_host: Annotated[
        str | None, Meta(description="Of the primary, in the place of `REDIS_URL`; TLS, IAM.")
    ] = None
    redis_port: Annotated[int, Meta(ge=1, le=65535, description="Its port.")] = 6379
    redis_name: Annotated[str | None, Meta(description="Of the replication group.")] = None
    redis_user: Annotated[str | None, Meta(description="A user of ElastiCache with IAM.")] = None
    aws_region: Annotated[str | None, _REGION] = None


class AwsBrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of every entry point that takes BROKER_ENDPOINT, beside it."""

    broker_password_secret: Annotated[
        str | None,
        Meta(description="Secret with the password of the user in `BROKER_ENDPOINT`, as text."),
    ] = None
    broker_ca_pem: Annotated[
        str | None,
        Meta(description="CA of the broker's certificate as PEM text, instead of a file."),
    ] = None
    aws_region: Annotated[str | None, _REGION] = None


AWS_MODELS: tuple[type[msgspec.Struct], ...] = (
    AwsDatabaseSettings,
    AwsCacheSettings,
    AwsBrokerSettings,
)

_Get = Callable[[str], str]


def urls_from_hosts(environment: Mapping[str, str]) -> dict[str, str]:
    """Return DATABASE_URL, REDIS_URL and BROKER_ENDPOINT that the host settings stand for.

    Only those that the environment has such settings for.

    Raises:
        ConfigurationError: Both or only a part is given; the message names the setting.
    """

    def needed(name: str) -> str:
        if not environment.get(name):
            msg = f"{name} is not set"
            raise ConfigurationError(msg)
        return environment[name]

    found: dict[str, str] = {}
    if environment.get("DATABASE_HOST"):
        _refuse_both(environment, "DATABASE_URL", "DATABASE_HOST")
        found["DATABASE_URL"] = _database_url(environment, needed)
    if environment.get("REDIS_HOST"):
        _refuse_both(environment, "REDIS_URL", "REDIS_HOST")
        query = urlencode({"name": needed("REDIS_NAME"), "region": needed("AWS_REGION")})
        port = environment.get("REDIS_PORT") or 6379
        user = quote(needed("REDIS_USER"), safe="")
        found["REDIS_URL"] = f"rediss+iam://{user}@{needed('REDIS_HOST')}:{port}/0?{query}"
    extras: dict[str, str] = {}
    if environment.get("BROKER_PASSWORD_SECRET"):
        extras["password_secret"] = environment["BROKER_PASSWORD_SECRET"]
        extras["region"] = needed("AWS_REGION")
    if environment.get("BROKER_CA_PEM"):
        _refuse_both(environment, "BROKER_CA_FILE", "BROKER_CA_PEM")
        extras["ca_pem"] = environment["BROKER_CA_PEM"]
    if extras and environment.get("BROKER_ENDPOINT"):
        found["BROKER_ENDPOINT"] = f"{environment['BROKER_ENDPOINT']}?{urlencode(extras)}"
    return found


def _database_url(environment: Mapping[str, str], needed: _Get) -> str:
    port = environment.get("DATABASE_PORT") or 5432
    name = quote(environment.get("DATABASE_NAME") or "plumbline", safe="")
    query = {"region": needed("AWS_REGION")}
    if environment.get("DATABASE_CA_FILE"):
        query["sslrootcert"] = environment["DATABASE_CA_FILE"]
    place = f"{needed('DATABASE_HOST')}:{port}/{name}"
    if environment.get("DATABASE_SECRET"):
        _refuse_both(environment, "DATABASE_USER", "DATABASE_SECRET")
        query["secret"] = environment["DATABASE_SECRET"]
        return f"postgresql+secret://{place}?{urlencode(query)}"
    user = quote(needed("DATABASE_USER"), safe="")
    return f"postgresql+iam://{user}@{place}?{urlencode(query)}"


def _refuse_both(environment: Mapping[str, str], one: str, other: str) -> None:
    if environment.get(one) and environment.get(other):
        msg = f"{one} and {other} are both set, and only one of them may be"
        raise ConfigurationError(msg)
