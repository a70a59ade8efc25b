"""The password file as one S3 object: commands write it, every broker task reads it."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from plumbline.adapters.mqtt.configuration import NETWORK_SERVER_USERS
from plumbline.adapters.mqtt.credentials import hash_password
from plumbline.domain.device import NetworkServer
from plumbline.errors import BrokerUnavailable, ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 3}, connect_timeout=3, read_timeout=10
)
_ATTEMPTS = 20
_PASSWORD_BYTES = 24
_ABSENT = {"NoSuchKey", "404"}
_UNCHANGED = {"304", "NotModified"}
# Another command wrote meanwhile; 409 says that it is at it this moment.
_OVERTAKEN = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}


@dataclass(frozen=True, slots=True)
class PublishedDevices:
    """What the object holds.

    Attributes:
        version: Changes with the contents; None where there is no object yet.
        hashes: Of the passwords, by device or network server.
    """

    version: str | None
    hashes: Mapping[str, str]


class SharedCredentials:
    """Publishes credentials to all broker tasks; see ``ports.DeviceCredentials``.

    Takes effect when the tasks look next. The object has Mosquitto's format, and holds the devices,
    which the registry knows, and the network servers, which nothing else knows. The passwords of
    the other services each task adds itself.

    Args:
        url: ``s3://bucket/key``.
        client: Without it, boto3's own for the environment.

    Raises:
        ConfigurationError: Not such a URL.
    """

    def __init__(self, url: str, client: "S3Client | None" = None) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or not parts.path.strip("/"):
            msg = "BROKER_PASSWORDS must be s3://bucket/key"
            raise ConfigurationError(msg)
        self._bucket, self._key = parts.netloc, parts.path.lstrip("/")
        self._client: S3Client = client or boto3.client("s3", config=_CONFIG)

    def hash_password(self, password: str) -> str:
        """Return the password's hash in Mosquitto's format."""
        return hash_password(password)

    def publish(self, current: Callable[[], Mapping[str, str]]) -> None:
        """Write the current devices to the object, beside the network servers that it has.

        Raises:
            BrokerUnavailable: The devices are registered, and the broker tasks do not know.
        """
        self._change(lambda known: {**_network_servers(known), **current()})

    def renew(self, server: NetworkServer) -> str:
        """Give a network server a new password and return it; the old one ends.

        Raises:
            BrokerUnavailable: It has the old one still.
        """
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        changed = {NETWORK_SERVER_USERS[server]: self.hash_password(password)}
        self._change(lambda known: {**known, **changed})
        return password

    def _change(self, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Replace the object's contents, where nobody else did meanwhile; else begin again."""
        with _unavailable():
            for _ in range(_ATTEMPTS):
                known = self.fetch(None) or _NONE
                body = _encode(change(known.hashes))
                try:
                    if known.version is None:
                        self._client.put_object(
                            Bucket=self._bucket, Key=self._key, Body=body, IfNoneMatch="*"
                        )
                    else:
                        self._client.put_object(
                            Bucket=self._bucket, Key=self._key, Body=body, IfMatch=known.version
                        )
                except ClientError as error:
                    if _code(error) not in _OVERTAKEN:
                        raise
                else:
                    return
        msg = "the broker tasks were not told: too many commands at once"
        raise BrokerUnavailable(msg)

    def fetch(self, known: PublishedDevices | None) -> PublishedDevices | None:
        """Return what the object holds now; None where that is what ``known`` says.

        Raises:
            BrokerUnavailable: S3 cannot be reached or refuses.
        """
        with _unavailable():
            try:
                if known is not None and known.version is not None:
                    answer = self._client.get_object(
                        Bucket=self._bucket, Key=self._key, IfNoneMatch=known.version
                    )
                else:
                    answer = self._client.get_object(Bucket=self._bucket, Key=self._key)
                body = answer["Body"].read()
            except ClientError as error:
                if _code(error) in _UNCHANGED:
                    return None
                if _code(error) not in _ABSENT:
                    raise
                return None if known is not None and known.version is None else _NONE
        return PublishedDevices(answer["ETag"], _decode(body))


_NONE = PublishedDevices(None, {})


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        msg = f"the password file in S3: {error}"
        raise BrokerUnavailable(msg) from error


def _network_servers(hashes: Mapping[str, str]) -> dict[str, str]:
    return {user: hashes[user] for user in NETWORK_SERVER_USERS.values() if user in hashes}


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _encode(hashes: Mapping[str, str]) -> bytes:
    return "".join(f"{name}:{secret}\n" for name, secret in sorted(hashes.items())).encode("ascii")


def _decode(body: bytes) -> dict[str, str]:
    lines = body.decode("ascii").splitlines()
    return {name: secret for name, _, secret in (line.partition(":") for line in lines)}
