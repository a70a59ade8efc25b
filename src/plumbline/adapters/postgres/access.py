"""How a database URL becomes what libpq connects with."""

import json
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from plumbline.adapters.aws_tokens import database_token, read_secret
from plumbline.errors import ConfigurationError

_IAM = "postgresql+iam"
_SECRET = "postgresql+secret"  # noqa: S105 - a scheme
_DEFAULT_PORT = 5432
_OWN = {"region", "secret"}


def connection_url(url: str) -> str:
    """Return the URL for one connection; asked again for each, as a token ends.

    Args:
        url: One of libpq's, or of ``plumbline.aws_settings``, whose connections verify certificate
            and name of the server.

    Raises:
        ConfigurationError: The URL lacks a part, or there are no AWS credentials.
        StoreUnavailable: The secret cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme not in {_IAM, _SECRET}:
        return url
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    host, port = parts.hostname, parts.port or _DEFAULT_PORT
    if not host or "region" not in query:
        msg = f"a database URL with {parts.scheme} needs a host and ?region="
        raise ConfigurationError(msg)
    if parts.scheme == _IAM:
        user = parts.username or ""
        password = database_token(host, port, user, query["region"])
    else:
        held = json.loads(read_secret(query["secret"], query["region"]))
        user, password = held["username"], held["password"]
    options = {name: value for name, value in query.items() if name not in _OWN}
    options = {"sslmode": "verify-full", "sslrootcert": "system", **options}
    return (
        f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}"
        f"{parts.path}?{urlencode(options)}"
    )
