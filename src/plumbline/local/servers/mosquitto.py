"""Mosquitto as a child process, and the credentials that it knows."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from plumbline.adapters.mqtt import configuration
from plumbline.adapters.mqtt.configuration import (
    INGEST_USER,
    SERVICE_USERS,
    BrokerFiles,
    BrokerOptions,
    Listener,
)
from plumbline.adapters.mqtt.credentials import PasswordFile
from plumbline.local.reachable import broker_answers
from plumbline.local.servers.binaries import find_program, require_version
from plumbline.local.servers.passwords import password, renew
from plumbline.local.servers.ports import url_host
from plumbline.local.servers.privileges import Home, give
from plumbline.local.servers.process import Launch
from plumbline.local.servers.server import ENVIRONMENT, Server
from plumbline.local.servers.tls_files import TlsFiles

MINIMUM_VERSION = 2

_PROGRAM = "mosquitto"
_NAME = "mosquitto"
_PLUGIN = "uplink-journal.so"
_LOOPBACK = "127.0.0.1"


class MosquittoServer(Server):
    """A Mosquitto below ``DATA_DIR/mosquitto``, with a plain and a TLS listener.

    Args:
        data_dir: The system's data directory.
        port: TCP port of the plain listener; 0 or None takes a free one and keeps it.
        tls_port: The same for the listener with TLS.
        host: Address that the TLS listener listens on.
        plain_host: The plain one's; it takes passwords in clear, so that any other than loopback
            is for networks that are trusted.
        preferred: First choices for the two ports, where none is given.
        tls: Files of the TLS listener; without them there is none.
        journal_plugin: See ``BrokerFiles``; wherever it lies.
        options: Of the broker's configuration.
    """

    def __init__(  # noqa: PLR0913 - each is one setting, most by keyword
        self,
        data_dir: Path,
        port: int | None = None,
        tls_port: int | None = None,
        *,
        host: str = _LOOPBACK,
        plain_host: str = _LOOPBACK,
        preferred: tuple[int | None, int | None] = (None, None),
        tls: TlsFiles | None = None,
        journal_plugin: Path | None = None,
        options: BrokerOptions | None = None,
    ) -> None:
        super().__init__(_NAME, program=_PROGRAM, system_user="mosquitto", data_dir=data_dir)
        self.host = plain_host
        self.tls_host = host
        self.port = self.choose_port(_NAME, port, preferred[0])
        self.tls_port = self.choose_port(f"{_NAME}-tls", tls_port, preferred[1])
        self._tls = tls
        self._journal_plugin = journal_plugin
        self._options = options or BrokerOptions()

    @property
    def url(self) -> str:
        """The plain listener as the ingest user."""
        return self.user_url(INGEST_USER)

    @property
    def plain_url(self) -> str:
        """The plain listener, without a user."""
        return f"mqtt://{url_host(self.host)}:{self.port}"

    @property
    def tls_url(self) -> str:
        """The TLS listener, without a user."""
        return f"mqtts://{url_host(self.tls_host)}:{self.tls_port}"

    def user_url(self, user: str) -> str:
        """Return the plain listener's URL as one of the service users."""
        secret = quote(service_password(self.data_dir, user))
        return f"mqtt://{user}:{secret}@{url_host(self.host)}:{self.port}"

    def addresses(self) -> list[tuple[str, int, str]]:
        """Return the listeners."""
        listeners = [(self.host, self.port, "--mqtt-port")]
        if self._tls is not None:
            listeners.append((self.tls_host, self.tls_port, "--mqtts-port"))
        return listeners

    def launch(self, home: Home) -> Launch:
        """Write the configuration; keep the devices' credentials, renew the service users'."""
        program = find_program(_PROGRAM, "mosquitto")
        require_version(program, "-h", MINIMUM_VERSION)
        services = {user: service_password(self.data_dir, user) for user in SERVICE_USERS}
        PasswordFile(self.directory / "passwords", services, _not_running).publish(
            self._known_credentials
        )
        self.write(home, "acl", configuration.access_rules())
        tls: list[Listener] = []
        if self._tls is not None:
            tls = [Listener(self.tls_host, self.tls_port)]
            self.write(home, "server.pem", self._tls.certificate_file.read_text("ascii"))
            self.write(home, "server-key.pem", self._tls.key_file.read_text("ascii"))
        if self._journal_plugin is not None:
            self.write(home, _PLUGIN, self._journal_plugin.read_bytes())
        state = home.directory / "state"
        state.mkdir(mode=0o700, exist_ok=True)
        give(state, home.identity)
        files = BrokerFiles(
            state_dir=home.inside / "state",
            password_file=home.inside / "passwords",
            acl_file=home.inside / "acl",
            certificate_file=home.inside / "server.pem",
            key_file=home.inside / "server-key.pem",
            journal_plugin=None if self._journal_plugin is None else home.inside / _PLUGIN,
        )
        plain = [Listener(self.host, self.port)]
        config = configuration.render_config(files, plain=plain, tls=tls, options=self._options)
        self.write(home, "mosquitto.conf", config)
        return Launch(
            argv=[str(program), "-c", str(home.inside / "mosquitto.conf")],
            environment=ENVIRONMENT,
            directory=home.directory,
            identity=home.identity,
            descriptors=home.descriptors,
        )

    def is_ready(self) -> bool:
        """Return whether it listens, which it does after it has read its queues back."""
        return broker_answers(self.plain_url)

    def _known_credentials(self) -> Mapping[str, str]:
        path = self.directory / "passwords"
        if not path.exists():
            return {}
        lines = path.read_text("ascii").splitlines()
        return {user: secret for user, _, secret in (line.partition(":") for line in lines)}


def service_password(data_dir: Path, user: str) -> str:
    """Return the generated password of a service user."""
    return password(data_dir, f"{_NAME}-{user}")


def renew_service_password(data_dir: Path, user: str) -> str:
    """Replace the password of a service user; the broker has it after its next publication."""
    return renew(data_dir, f"{_NAME}-{user}")


def _not_running() -> None:
    """Reload nothing: the broker reads its files when it starts."""
