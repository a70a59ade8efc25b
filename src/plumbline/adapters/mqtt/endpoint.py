"""Where the broker is: its URL, every address behind the name, and the TLS that verifies it."""

import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from plumbline.adapters.aws_tokens import read_secret
from plumbline.errors import BrokerUnavailable, ConfigurationError

Resolve = Callable[[str, int], Sequence[str]]
"""From a host name and a port to the IP addresses behind it."""

_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class _NamedContext(ssl.SSLContext):
    """Verifies the endpoint's host name although we connect to one of its addresses.

    And shakes hands at once, which closes the socket where that fails; paho leaves it open.
    """

    name: str

    def wrap_socket(  # noqa: PLR0913, PLR0917 - the overridden method's parameters
        self,
        sock: socket.socket,
        server_side: bool = False,  # noqa: FBT001, FBT002 - likewise
        do_handshake_on_connect: bool = True,  # noqa: ARG002, FBT001, FBT002 - likewise
        suppress_ragged_eofs: bool = True,  # noqa: FBT001, FBT002 - likewise
        server_hostname: str | bytes | None = None,  # noqa: ARG002 - the address, which is no name
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        return super().wrap_socket(
            sock,
            server_side=server_side,
            do_handshake_on_connect=True,
            suppress_ragged_eofs=suppress_ragged_eofs,
            server_hostname=self.name,
            session=session,
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One broker endpoint.

    Attributes:
        host: Name or IP address; may stand for several broker tasks.
        port: TCP port.
        username: Also the client id, by the broker's ``use_username_as_clientid``.
        password: Secret; not shown in the representation.
        tls: The context for ``mqtts``, None for ``mqtt``.
    """

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    tls: ssl.SSLContext | None

    @classmethod
    def parse(cls, url: str, *, ca_file: Path | None = None) -> Self:
        """Read ``mqtt://user:password@host:port`` or ``mqtts://…``.

        Args:
            url: User and password percent-encoded; the port may be absent (1883, 8883). The query
                may have ``password_secret`` (with ``region``) in the place of a password, and
                ``ca_pem``.
            ca_file: PEM certificates to trust instead of the system's, for ``mqtts``.
        Raises:
            ConfigurationError: Not such a URL, or the CA file cannot be read. The message
                shows neither user nor password.
            StoreUnavailable: The secret cannot be read.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            msg = f"the broker URL cannot be read: {error}"
            raise ConfigurationError(msg) from error
        if parts.scheme not in _DEFAULT_PORTS:
            msg = "the broker URL must begin with mqtt:// or mqtts://"
            raise ConfigurationError(msg)
        if not host:
            msg = "the broker URL names no host"
            raise ConfigurationError(msg)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if not parts.username or (parts.password is None) == ("password_secret" not in query):
            msg = "the broker URL needs a user name and a password"
            raise ConfigurationError(msg)
        password = (
            unquote(parts.password)
            if parts.password is not None
            else read_secret(query["password_secret"], query["region"])
        )
        return cls(
            host=host,
            port=port or _DEFAULT_PORTS[parts.scheme],
            username=unquote(parts.username),
            password=password,
            tls=_tls(host, ca_file, query.get("ca_pem")) if parts.scheme == "mqtts" else None,
        )


def resolve_host(host: str, port: int) -> list[str]:
    """Return every IP address of the host.

    Where a host has IPv4 addresses, only these: one broker task with both an IPv4 and an IPv6
    address would otherwise be drained twice in each run.

    Raises:
        BrokerUnavailable: The name does not resolve.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        msg = f"{host} does not resolve: {error.strerror or error}"
        raise BrokerUnavailable(msg) from error
    v4 = [str(info[4][0]) for info in found if info[0] == socket.AF_INET]
    return v4 or [str(info[4][0]) for info in found]


def _tls(host: str, ca_file: Path | None, ca_pem: str | None) -> ssl.SSLContext:
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)  # requires a certificate for the right name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.name = host
    try:
        if ca_pem is not None:
            context.load_verify_locations(cadata=ca_pem)
        elif ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca_file)
    except OSError as error:
        what = "BROKER_CA_PEM" if ca_pem is not None else f"the broker's CA file {ca_file}"
        msg = f"{what} cannot be read: {error.strerror or error}"
        raise ConfigurationError(msg) from error
    return context
