"""The Mosquitto of one task: its files, its process."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from plumbline.adapters.mqtt import configuration
from plumbline.adapters.mqtt.configuration import (
    NETWORK_SERVER_USERS,
    SERVICE_PREFIX,
    BrokerFiles,
    BrokerOptions,
    Listener,
)
from plumbline.adapters.mqtt.credentials import hash_password, reload, write_password_file
from plumbline.adapters.mqtt.saving import save
from plumbline.broker.slots import Slot
from plumbline.errors import ConfigurationError
from plumbline.settings import BrokerTaskSettings

_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/bin"
_STOP_S = 15.0


class Mosquitto:
    """A Mosquitto that serves a slot's queues.

    Args:
        settings: Of the task.
        slot: Its queues.
        services: Password by service user.
    """

    def __init__(
        self, settings: BrokerTaskSettings, slot: Slot, services: Mapping[str, str]
    ) -> None:
        self._settings = settings
        self._slot = slot
        self._services = {user: hash_password(word) for user, word in services.items()}
        self._directory = Path(settings.broker_run_dir)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Write all files, no device among them, and start.

        Raises:
            ConfigurationError: There is no Mosquitto, or a directory cannot be written.
        """
        settings, directory = self._settings, self._directory
        program = shutil.which("mosquitto", path=_PATH)
        if program is None:
            msg = "there is no mosquitto on this machine"
            raise ConfigurationError(msg)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write("server.pem", settings.broker_certificate)
        self._write("server-key.pem", settings.broker_private_key.reveal())
        self._write("acl", configuration.access_rules())
        write_password_file(directory / "passwords", self._services)
        plugin = settings.broker_journal_plugin
        config = configuration.render_config(
            BrokerFiles(
                state_dir=self._slot.state_dir,
                password_file=directory / "passwords",
                acl_file=directory / "acl",
                certificate_file=directory / "server.pem",
                key_file=directory / "server-key.pem",
                journal_plugin=None if plugin is None else Path(plugin),
            ),
            plain=[Listener(settings.broker_plain_host, settings.broker_plain_port)],
            tls=[Listener(settings.broker_host, settings.broker_port)],
            options=BrokerOptions(
                max_queued_bytes=settings.broker_max_queued_bytes,
                sync_journal=settings.broker_journal == "synced",
                run_as="root" if os.geteuid() == 0 else None,  # the files are this user's
            ),
        )
        self._write("mosquitto.conf", config)
        # Ends with this process, as all of a container does.
        command = [
            "setpriv",
            "--pdeathsig",
            "TERM",
            program,
            "-c",
            str(directory / "mosquitto.conf"),
        ]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=[self._slot.descriptor]
        )

    def save(self) -> None:
        """Return when it has saved its sessions and queues.

        Raises:
            BrokerUnavailable: It has not, in ten seconds, or has ended.
        """
        if self._process is not None and self._process.poll() is None:
            save([self._process.pid], self._slot.state_dir)

    def admit(self, clients: Mapping[str, str]) -> None:
        """Let these clients connect, and no others; cut off who is connected and not among them.

        Only after the ingest session was opened; see ``credentials.reload``.

        Args:
            clients: Hash of the password by device or network server; no other service user.
        """
        known = {name: secret for name, secret in clients.items() if _may_be_admitted(name)}
        write_password_file(self._directory / "passwords", {**known, **self._services})
        if self._process is not None:
            reload(self._process.pid)

    def has_ended(self) -> int | None:
        """Return the exit status of a Mosquitto that ended by itself; None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        """Let it save its queues and end."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write(self, name: str, text: str) -> None:
        path = self._directory / name
        path.touch(mode=0o600)
        path.write_text(text, "utf-8")


def _may_be_admitted(name: str) -> bool:
    return not name.startswith(SERVICE_PREFIX) or name in NETWORK_SERVER_USERS.values()
