"""Settings: one frozen model an entry point, read from the environment by `load`."""

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from plumbline.aws_settings import AWS_MODELS, urls_from_hosts
from plumbline.errors import ConfigurationError
from plumbline.topology import TOPOLOGY

DEFAULT_TOPICS = (
    "tilt/+/telemetry,tilt/+/commands/ack"
    ",application/+/device/+/event/up,application/+/device/+/event/ack"
    ",application/+/device/+/event/txack"
    ",v3/+/devices/+/up,v3/+/devices/+/down/sent,v3/+/devices/+/down/ack"
    ",v3/+/devices/+/down/nack,v3/+/devices/+/down/failed"
)
"""Readings, and answers to commands.

No filter may match what the command functions publish: the broker would take a subscriber for there
where nobody is.
"""


class Secret:
    """A value that does not show itself in logs, tracebacks or reprs."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"


class ParsingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the parsing function."""

    broker_endpoint: Annotated[
        Secret, Meta(description="`mqtt://user:password@host:port`, or `mqtts://…`.")
    ]
    mqtt_topic: Annotated[str, Meta(description="Topic filters to drain, separated by commas.")] = (
        DEFAULT_TOPICS
    )
    broker_ca_file: Annotated[
        str | None, Meta(description="CA of the broker's certificate; the system's where absent.")
    ] = None
    distributing_queue_url: Annotated[
        Secret,
        Meta(description="Queue `distributing`: an SQS URL, or `postgresql://…#distributing`."),
    ]
    database_url: Annotated[
        Secret | None,
        Meta(
            description="Where LoRaWAN devices are registered; without it their uplinks are"
            " quarantined as `unknown_device`."
        ),
    ] = None
    plumbline_run_dir: Annotated[
        str | None,
        Meta(description="On one machine: directory of the lock that keeps two runs apart."),
    ] = None


class DistributingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the distributing function."""

    db1_queue_url: Annotated[
        Secret, Meta(description="Queue `db1`: an SQS URL, or `postgresql://…#db1`.")
    ]


class Db1Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the DB1 function."""

    database_url: Annotated[Secret, Meta(description="`postgresql://user:password@host/name`.")]


class SyncSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the sync function."""

    database_url: Annotated[Secret, Meta(description="`postgresql://user:password@host/name`.")]
    redis_url: Annotated[Secret, Meta(description="`redis://` or `rediss://`, with password.")]


class MaintenanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the maintenance function."""

    database_url: Annotated[Secret, Meta(description="`postgresql://user:password@host/name`.")]


_COMMAND_BROKER = "`mqtt://user:password@host:port`, or `mqtts://…`; a user of its own."
_INSTEAD = "Instead of `BROKER_ENDPOINT`, where several functions share one environment."


class MqttCommandSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the function that sends commands to MQTT devices."""

    broker_endpoint: Annotated[Secret, Meta(description=_COMMAND_BROKER)]
    mqtt_command_broker_endpoint: Annotated[Secret | None, Meta(description=_INSTEAD)] = None
    broker_ca_file: Annotated[
        str | None, Meta(description="CA of the broker's certificate; the system's where absent.")
    ] = None
    distributing_queue_url: Annotated[
        Secret,
        Meta(description="Queue `distributing`: an SQS URL, or `postgresql://…#distributing`."),
    ]


class LorawanCommandSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the function that sends commands to LoRaWAN devices."""

    broker_endpoint: Annotated[Secret, Meta(description=_COMMAND_BROKER)]
    lorawan_command_broker_endpoint: Annotated[Secret | None, Meta(description=_INSTEAD)] = None
    broker_ca_file: Annotated[
        str | None, Meta(description="CA of the broker's certificate; the system's where absent.")
    ] = None
    distributing_queue_url: Annotated[
        Secret,
        Meta(description="Queue `distributing`: an SQS URL, or `postgresql://…#distributing`."),
    ]


class MigrateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the function that brings the database to a version."""

    database_url: Annotated[Secret, Meta(description="As the owner of its tables.")]


class OperateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the function that runs the command line on AWS; the commands read them as they need."""

    database_url: Annotated[Secret, Meta(description="`postgresql://user:password@host/name`.")]
    redis_url: Annotated[
        Secret | None, Meta(description="Where the portal keeps copies of sessions and tokens.")
    ] = None
    broker_passwords: Annotated[
        str | None,
        Meta(description="`s3://bucket/key` that the broker's tasks read passwords from."),
    ] = None
    distributing_queue_url: Annotated[
        Secret | None,
        Meta(
            description="Queue `distributing`: what is replayed goes there, the ledger counts it."
        ),
    ] = None
    db1_queue_url: Annotated[
        Secret | None, Meta(description="Queue `db1`, which the ledger counts.")
    ] = None


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of a worker process of the local runtime, beside those of its functions."""

    database_url: Annotated[Secret, Meta(description="Where the queues are.")]
    plumbline_run_dir: Annotated[str, Meta(description="Directory for locks and status files.")]
    plumbline_ingest_every_s: Annotated[
        float, Meta(ge=0.5, description="Period of the ingestion schedule, seconds.")
    ] = TOPOLOGY.schedule("ingestion").local_period_s
    plumbline_sync_every_s: Annotated[
        float, Meta(ge=0.5, description="Period of the sync schedule, seconds.")
    ] = TOPOLOGY.schedule("sync").local_period_s


class PortalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the portal's application."""

    database_url: Annotated[Secret, Meta(description="`postgresql://user:password@host/name`.")]
    redis_url: Annotated[Secret, Meta(description="`redis://` or `rediss://`, with password.")]
    mqtt_command_queue_url: Annotated[
        Secret | None,
        Meta(description="Queue `mqtt-command`; where absent, that of the database."),
    ] = None
    lorawan_command_queue_url: Annotated[
        Secret | None,
        Meta(description="Queue `lorawan-command`; where absent, that of the database."),
    ] = None
    distributing_queue_url: Annotated[
        Secret | None,
        Meta(description="Queue `distributing`, on SQS, which the ledger counts there."),
    ] = None
    db1_queue_url: Annotated[
        Secret | None, Meta(description="Queue `db1`, on SQS, which the ledger counts there.")
    ] = None
    command_ack_grace_s: Annotated[
        float,
        Meta(
            ge=0,
            description="How long after its end a command that was sent still waits for an answer"
            " under way, seconds: twice the period of the ingestion.",
        ),
    ] = 2.0 * TOPOLOGY.schedule("ingestion").period_s
    portal_rate_limit: Annotated[
        int,
        Meta(
            ge=0,
            description="Requests that one address may send in five minutes; 0 behind a WAF that"
            " counts itself.",
        ),
    ] = 2000
    portal_trusted_proxies: Annotated[
        int,
        Meta(
            ge=0,
            le=10,
            description="How many proxies stand before the portal and append to"
            " `X-Forwarded-For`; 0 believes no forwarded header.",
        ),
    ] = 0
    portal_public_origin: Annotated[
        str | None,
        Meta(
            description="`https://host[:port]` as browsers know the portal, where a proxy does not"
            " hand the `Host` header on."
        ),
    ] = None
    portal_loopback_cookie: Annotated[
        bool,
        Meta(
            description="Whether `http://localhost` and `http://127.0.0.1` get cookies without"
            " `Secure`."
        ),
    ] = False
    portal_max_body_bytes: Annotated[
        int, Meta(ge=1024, description="Largest body of a request that is read.")
    ] = 65_536
    portal_request_timeout_s: Annotated[
        float, Meta(gt=0, description="Longest time until an answer begins, seconds.")
    ] = 30.0
    portal_stall_timeout_s: Annotated[
        float,
        Meta(
            gt=0,
            description="Longest time in which a client takes the next part of an export, seconds.",
        ),
    ] = 120.0


class PortalServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of the portal's HTTP server."""

    portal_host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    portal_port: Annotated[int, Meta(ge=1, le=65535, description="Port to listen on.")] = 8080
    portal_workers: Annotated[int, Meta(ge=1, le=64, description="Worker processes.")] = 2
    portal_certificate_file: Annotated[
        str | None,
        Meta(description="PEM certificate; with it and its key the portal speaks HTTPS."),
    ] = None
    portal_key_file: Annotated[
        str | None, Meta(description="PEM key of `PORTAL_CERTIFICATE_FILE`.")
    ] = None


class BrokerTaskSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Of one broker task, the container's entry point."""

    broker_ingest_password: Annotated[Secret, Meta(description="Of `plumbline-ingest`.")]
    broker_command_password: Annotated[Secret, Meta(description="Of `plumbline-command`.")]
    broker_lorawan_command_password: Annotated[
        Secret, Meta(description="Of `plumbline-lorawan-command`.")
    ]
    broker_monitor_password: Annotated[Secret, Meta(description="Of `plumbline-monitor`.")]
    broker_certificate: Annotated[
        str, Meta(description="Certificate of the TLS listener and its chain, PEM text.")
    ]
    broker_private_key: Annotated[Secret, Meta(description="Its key, PEM text.")]
    broker_passwords: Annotated[
        str, Meta(description="`s3://bucket/key` of devices' and network servers' passwords.")
    ]
    broker_data_dir: Annotated[str, Meta(description="Shared by all tasks; holds the slots.")] = (
        "/data"
    )
    broker_run_dir: Annotated[
        str, Meta(description="This task's own: configuration, passwords, the health check's note.")
    ] = "/run/plumbline"
    broker_slots: Annotated[
        int, Meta(ge=1, le=100, description="How many slots there are: as many as tasks.")
    ] = 2
    broker_host: Annotated[str, Meta(description="Address of the TLS listener.")] = "0.0.0.0"  # noqa: S104 - devices come from everywhere
    broker_port: Annotated[int, Meta(ge=1, le=65535, description="Port of the TLS listener.")] = (
        8883
    )
    broker_plain_host: Annotated[
        str, Meta(description="Address of the listener without TLS; others than loopback are open.")
    ] = "127.0.0.1"
    broker_plain_port: Annotated[
        int, Meta(ge=1, le=65535, description="Port of the listener without TLS.")
    ] = 1883
    broker_max_queued_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Payload that waits for one client at most, beyond which messages are"
            " dropped; three times as much memory where payloads have 200 bytes.",
        ),
    ] = 268_435_456
    broker_journal_plugin: Annotated[
        str | None,
        Meta(
            description="Plugin that writes each reading down before it is acknowledged; the image"
            " has one. Without it a crash loses what came since the last save."
        ),
    ] = None
    broker_journal: Annotated[
        Literal["synced", "written"],
        Meta(
            description="Acknowledged when the file system has it for good, or when the machine has"
            " it, which a task may lose with its machine."
        ),
    ] = "synced"
    broker_drain_s: Annotated[
        float, Meta(ge=0, description="How long a stop waits until the queue is empty, seconds.")
    ] = 100.0
    broker_report_every_s: Annotated[
        float, Meta(ge=1, description="Period of the metrics, seconds.")
    ] = 60.0
    mqtt_topic: Annotated[
        str, Meta(description="Topic filters of the ingest session, as parsing has them.")
    ] = DEFAULT_TOPICS


MODELS: tuple[type[msgspec.Struct], ...] = (
    ParsingSettings,
    DistributingSettings,
    Db1Settings,
    SyncSettings,
    MaintenanceSettings,
    MqttCommandSettings,
    LorawanCommandSettings,
    MigrateSettings,
    OperateSettings,
    WorkerSettings,
    PortalSettings,
    PortalServerSettings,
    BrokerTaskSettings,
    *AWS_MODELS,
)

_OR_HOST = {"database_url": ", nor is DATABASE_HOST", "redis_url": ", nor is REDIS_HOST"}

_S = TypeVar("_S", bound=msgspec.Struct)


def load(model: type[_S], environment: Mapping[str, str] | None = None) -> _S:
    """Read a settings model from the environment; names are the fields' in upper case.

    The settings of ``plumbline.aws_settings`` stand for the URLs that a model asks for.

    Raises:
        ConfigurationError: A setting is missing or wrong; the message names it.
    """
    environment = os.environ if environment is None else environment
    environment = {**environment, **urls_from_hosts(environment)}
    given = {
        field.name: environment[field.name.upper()]
        for field in msgspec.structs.fields(model)
        if environment.get(field.name.upper())
    }
    for field in msgspec.structs.fields(model):
        if field.name not in given and field.required:
            instead = _OR_HOST.get(field.name, "")
            msg = f"{field.name.upper()} is not set{instead}"
            raise ConfigurationError(msg)
    try:
        return msgspec.convert(given, model, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        msg = str(error).replace("$.", "setting ")
        raise ConfigurationError(msg) from error


def describe() -> Iterator[tuple[str, str, str, str]]:
    """Yield (entry point, setting, default, meaning) of every setting."""
    for model in MODELS:
        hints = get_type_hints(model, include_extras=True)
        for field in msgspec.structs.fields(model):
            default = "required" if field.required else str(field.default)
            meta = next(m for m in get_args(hints[field.name]) if isinstance(m, Meta))
            entry_point = model.__name__.removesuffix("Settings").lower()
            yield entry_point, field.name.upper(), default, meta.description or ""


def _decode(kind: type, value: Any) -> Any:  # noqa: ANN401 - msgspec's hook
    if kind is Secret:
        return Secret(value)
    msg = f"no settings type {kind}"
    raise NotImplementedError(msg)
