"""What AWS lets a function sign in with: signed tokens in the place of passwords, and secrets.

A token is a signed request that is never sent: the server asks IAM whether it is good. It is good
for 15 minutes, for the beginning of a connection.
"""

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from plumbline.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from botocore.credentials import Credentials

TOKEN_LIFETIME_S = 900


def database_token(host: str, port: int, user: str, region: str) -> str:
    """Return a token for a role of Aurora.

    Raises:
        ConfigurationError: There are no AWS credentials.
        StoreUnavailable: They cannot be had now.
    """
    query = urlencode({"Action": "connect", "DBUser": user})
    return _signed(f"https://{host}:{port}/?{query}", "rds-db", region)


def cache_token(name: str, user: str, region: str) -> str:
    """Return a token for a user of ElastiCache.

    Args:
        name: Of the replication group, not its host.
        user: Of ElastiCache; its name and id are equal.
        region: Of the group.

    Raises:
        ConfigurationError: There are no AWS credentials.
        StoreUnavailable: They cannot be had now.
    """
    query = urlencode({"Action": "connect", "User": user})
    return _signed(f"http://{name}/?{query}", "elasticache", region)


def read_secret(arn: str, region: str) -> str:
    """Return a secret's text, from Secrets Manager.

    Raises:
        StoreUnavailable: It cannot be read; the message does not show it.
    """
    import boto3  # noqa: PLC0415 - tokens need no client, which is the larger part
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        client = boto3.client("secretsmanager", region_name=region)
        return client.get_secret_value(SecretId=arn)["SecretString"]
    except (BotoCoreError, ClientError) as error:
        msg = f"the secret {arn} cannot be read: {error}"
        raise StoreUnavailable(msg) from error


def _signed(url: str, service: str, region: str) -> str:
    from botocore.auth import SigV4QueryAuth  # noqa: PLC0415 - only on AWS
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    request = AWSRequest(method="GET", url=url)
    try:
        credentials = signing_credentials()
        if credentials is None:
            msg = "there are no AWS credentials to sign in with"
            raise ConfigurationError(msg)
        SigV4QueryAuth(credentials, service, region, expires=TOKEN_LIFETIME_S).add_auth(request)
    except BotoCoreError as error:
        msg = f"AWS's credentials cannot be had: {error}"
        raise StoreUnavailable(msg) from error
    return str(request.url).partition("://")[2]


@lru_cache(1)
def signing_credentials() -> "Credentials | None":
    """Return credentials that renew themselves; looking for them takes a while."""
    from botocore.session import get_session  # noqa: PLC0415 - only on AWS

    found: Credentials | None = get_session().get_credentials()
    return found
