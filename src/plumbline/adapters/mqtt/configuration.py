"""Mosquitto's configuration, from the template and the access rules beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from plumbline.domain.device import NetworkServer

SERVICE_PREFIX = "plumbline-"
"""Begins the name of every service user; no device id may."""

INGEST_USER = "plumbline-ingest"
COMMAND_USER = "plumbline-command"
LORAWAN_COMMAND_USER = "plumbline-lorawan-command"
MONITOR_USER = "plumbline-monitor"
NETWORK_SERVER_USERS = {
    NetworkServer.CHIRPSTACK: "plumbline-chirpstack",
    NetworkServer.THINGS_STACK: "plumbline-things-stack",
}
SERVICE_USERS = (
    INGEST_USER,
    COMMAND_USER,
    LORAWAN_COMMAND_USER,
    MONITOR_USER,
    *NETWORK_SERVER_USERS.values(),
)


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the broker listens.

    Attributes:
        address: IP address or host name to bind.
        port: TCP port.
    """

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """What the configuration names.

    Attributes:
        state_dir: Existing directory for the broker's queues; the broker writes to it.
        password_file: See ``credentials.write_password_file``.
        acl_file: Holds ``access_rules()``.
        certificate_file, key_file: PEM files of the TLS listeners; None without such.
        journal_plugin: What ``journal/build-plugin`` made; None runs without a journal, and then a
            crash of the broker loses what it acknowledged since its last save.
    """

    state_dir: Path
    password_file: Path
    acl_file: Path
    certificate_file: Path | None = None
    key_file: Path | None = None
    journal_plugin: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """What a deployment may choose.

    Attributes:
        max_queued_bytes: Payload bytes that wait for one client at most; what comes beyond them
            is dropped, and counted in ``$SYS/broker/publish/messages/dropped``. The broker keeps
            them in memory, with about 350 bytes more for each message.
        sync_journal: Acknowledge an uplink or a command when the disk has it, so that it outlives a
            crash of the machine; else when the operating system has it, so that it outlives one of
            the broker.
        journal_reserve_bytes: Of the disk, beside what the next save needs. Where less is free,
            uplinks are refused: Mosquitto loses its save where there is no room for the next.
        run_as: User to become where the broker starts as root; None is its default, ``mosquitto``.
        log_connections: Log who connects, disconnects and is refused. The drain alone makes
            three lines in each run.
        log_messages: Log topic and size of each message in and out: the one place where Mosquitto
            shows that its access rules refused a message (``Denied PUBLISH from``), which it
            acknowledges all the same to an MQTT 3.1.1 client. Takes 40 % of the broker's speed.
    """

    max_queued_bytes: int = 512 * 1024 * 1024
    sync_journal: bool = False
    journal_reserve_bytes: int = 8 * 1024 * 1024
    run_as: str | None = None
    log_connections: bool = False
    log_messages: bool = False


_DEFAULT_OPTIONS = BrokerOptions()


def render_config(
    paths: BrokerFiles,
    *,
    plain: Sequence[Listener],
    tls: Sequence[Listener] = (),
    options: BrokerOptions = _DEFAULT_OPTIONS,
) -> str:
    """Render ``mosquitto.conf``.

    Args:
        paths: Absolute paths.
        plain: Listeners without TLS; keep them on loopback.
        tls: Listeners with TLS.
        options: What else a deployment may choose.

    Raises:
        ValueError: TLS listeners without a certificate and key.
    """
    if tls and (paths.certificate_file is None or paths.key_file is None):
        msg = "TLS listeners need a certificate and its key"
        raise ValueError(msg)
    certificate = (
        f"certfile {paths.certificate_file}",
        f"keyfile {paths.key_file}",
        "tls_version tlsv1.2",  # or newer; without this line Mosquitto 2.0 accepts 1.1
    )
    listeners = [_listener(listener) for listener in plain]
    listeners += [_listener(listener, *certificate) for listener in tls]
    return Template(_read("mosquitto.conf.template")).substitute(
        user="" if options.run_as is None else f"user {options.run_as}",
        listeners="\n".join(listeners),
        password_file=paths.password_file,
        acl_file=paths.acl_file,
        state_dir=paths.state_dir,
        max_queued_bytes=options.max_queued_bytes,
        log_connections=str(options.log_connections).lower(),
        log_messages="log_type debug" if options.log_messages else "",
        journal="" if paths.journal_plugin is None else _journal(paths, options),
    )


def uplink_filters() -> list[str]:
    """Return the topic filters of all that the ingest user may read."""
    return _filters(INGEST_USER, "read")


def command_filters() -> list[str]:
    """Return the topic filters of all that is sent to devices and network servers."""
    return _filters(COMMAND_USER, "write") + _filters(LORAWAN_COMMAND_USER, "write")


def access_rules() -> str:
    """Return the text of the ACL file."""
    return _read("acl")


def _filters(user: str, access: str) -> list[str]:
    _, _, section = access_rules().partition(f"\nuser {user}\n")
    section, _, _ = section.partition("\nuser ")
    lines = [line.split() for line in section.splitlines()]
    return [words[2] for words in lines if words[:2] == ["topic", access]]


def _journal(paths: BrokerFiles, options: BrokerOptions) -> str:
    return "\n".join(
        [
            f"plugin {paths.journal_plugin}",
            f"plugin_opt_journal {paths.state_dir}/uplinks.journal",
            f"plugin_opt_saved {paths.state_dir}/mosquitto.db",
            f"plugin_opt_sync {str(options.sync_journal).lower()}",
            f"plugin_opt_reserve {options.journal_reserve_bytes}",
            *(f"plugin_opt_uplink {topic_filter}" for topic_filter in uplink_filters()),
            *(f"plugin_opt_command {topic_filter}" for topic_filter in command_filters()),
        ]
    )


def _listener(listener: Listener, *options: str) -> str:
    first = f"listener {listener.port} {listener.address}"
    return "\n".join([first, "use_username_as_clientid true", *options, ""])


def _read(name: str) -> str:
    return (files("plumbline.adapters.mqtt") / "config" / name).read_text("utf-8")
