"""How a Redis URL becomes host, user and password."""

from collections.abc import Callable
from urllib.parse import parse_qs, unquote, urlsplit

import redis

from plumbline.adapters.aws_tokens import cache_token
from plumbline.errors import ConfigurationError, PlumblineError

_IAM = "+iam"

SignIn = Callable[[], tuple[str, str]]
"""Returns user and password, another one each time."""


def split_url(url: str) -> tuple[str, SignIn | None]:
    """Return the URL that clients know, and what signs in; None where the URL does it itself.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, or with ``+iam`` behind the scheme.

    Raises:
        ConfigurationError: A URL with ``+iam`` lacks a part.
    """
    parts = urlsplit(url)
    if not parts.scheme.endswith(_IAM):
        return url, None
    query = parse_qs(parts.query)
    if not parts.username or not query.get("name") or not query.get("region"):
        msg = "a Redis URL with +iam needs a user, ?name= and &region="
        raise ConfigurationError(msg)
    user, name, region = unquote(parts.username), query["name"][-1], query["region"][-1]
    plain = parts._replace(
        scheme=parts.scheme.removesuffix(_IAM),
        netloc=parts.netloc.rpartition("@")[2],
        query="",
    )
    return plain.geturl(), lambda: (user, cache_token(name, user, region))


class TokenProvider(redis.CredentialProvider):
    """Gives redis-py a new token for each connection."""

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in

    def get_credentials(self) -> tuple[str, str]:
        """Return user and token.

        Raises:
            redis.ConnectionError: None can be had; as every other failure to connect.
        """
        try:
            return self._sign_in()
        except PlumblineError as error:
            raise redis.ConnectionError(str(error)) from error
