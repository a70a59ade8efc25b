"""The whole system on one machine: which processes it is made of."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from plumbline.adapters.mqtt.configuration import (
    COMMAND_USER,
    INGEST_USER,
    LORAWAN_COMMAND_USER,
    BrokerOptions,
)
from plumbline.errors import ConfigurationError
from plumbline.local.broker_journal import JournalMode, prepare_journal, write_journal
from plumbline.local.data_dir import locked_data_dir
from plumbline.local.endpoints import Endpoints, write_endpoints
from plumbline.local.reachable import portal_answers
from plumbline.local.running import write_environment
from plumbline.local.servers.mosquitto import MosquittoServer
from plumbline.local.servers.passwords import password
from plumbline.local.servers.ports import remembered_port, url_host
from plumbline.local.servers.postgres import PostgresServer
from plumbline.local.servers.process import ManagedProcess, ProcessSpec, WorkerProcess
from plumbline.local.servers.redis import RedisServer
from plumbline.local.servers.tls_files import ensure_tls_files
from plumbline.local.supervisor import Supervisor
from plumbline.local.workers import (
    COMMAND_FUNCTIONS,
    WORKERS,
    broker_setting,
    worker_argv,
    worker_environment,
)

_DEMO_DEVICES = 20
_MQTT_PORT, _MQTTS_PORT, _PORTAL_PORT = 1883, 8883, 8080
_DEMO_USER = "plumbline"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """What `plumbline up` was asked for; a port of None keeps the one of the last time.

    Attributes:
        data_dir: Everything lives below it.
        demo: Run simulated devices, too.
        host: Address of the broker's TLS listener.
        mqtt_host: Address of the broker's plain listener.
        portal_host: Address of the portal.
        ingest_every_s, sync_every_s: Periods of the schedules.
        journal: How the broker keeps what it acknowledges; None is the best that this machine has.
        broker_url: With the ingest user's credentials; instead of a broker of our own.
        database_url, redis_url: Instead of servers of our own.
    """

    data_dir: Path
    demo: bool = False
    host: str = "127.0.0.1"
    mqtt_host: str = "127.0.0.1"
    portal_host: str = "127.0.0.1"
    mqtt_port: int | None = None
    mqtts_port: int | None = None
    portal_port: int | None = None
    postgres_port: int | None = None
    redis_port: int | None = None
    ingest_every_s: float = 1.0
    sync_every_s: float = 5.0
    journal: JournalMode | None = None
    broker_url: str | None = None
    database_url: str | None = None
    redis_url: str | None = None


def missing_command_settings(options: UpOptions) -> list[str]:
    """Return the settings without which commands are kept but not sent.

    Of a broker elsewhere, whoever starts the system must say with whose credentials to send.
    """
    if options.broker_url is None:
        return []
    settings = [broker_setting(name) for name in COMMAND_FUNCTIONS]
    return [setting for setting in settings if not os.environ.get(setting)]


def run(options: UpOptions, announce: Callable[[Endpoints], None]) -> None:
    """Run the system until SIGINT or SIGTERM.

    Args:
        options: As asked for.
        announce: Called once, when everything is ready.

    Raises:
        ConfigurationError: Something cannot be started with these options on this machine.
        TransientError: Something does not come up.
    """
    if options.demo and options.broker_url is not None:
        msg = "--demo needs a broker of its own: leave out --broker-url"
        raise ConfigurationError(msg)
    with locked_data_dir(options.data_dir):
        _System(options, announce).supervisor().run()


class _System:
    def __init__(self, options: UpOptions, announce: Callable[[Endpoints], None]) -> None:
        self._options = options
        self._announce = announce
        self._data_dir = options.data_dir.absolute()
        self._run_dir = self._data_dir / "run"
        self._servers: list[ManagedProcess] = []
        self._endpoints = self._start_points()
        for status in (self._run_dir / "functions").glob("*.json"):
            status.unlink()  # of the last time: what is shown has run in this one

    def supervisor(self) -> Supervisor:
        """Return the supervisor of all processes."""
        processes = [*self._servers, *self._steps(), *self._workers(), self._portal()]
        if self._options.demo:
            processes.append(self._simulator())
        return Supervisor(self._data_dir, processes, on_ready=self._ready)

    def _start_points(self) -> Endpoints:
        options, data_dir = self._options, self._data_dir
        database_url, redis_url = options.database_url, options.redis_url
        if database_url is None:
            postgres = PostgresServer(data_dir, options.postgres_port)
            self._servers.append(postgres)
            database_url = postgres.url
        if redis_url is None:
            redis = RedisServer(data_dir, options.redis_port)
            self._servers.append(redis)
            redis_url = redis.url
        ingest_url = options.broker_url
        self._command_urls = {
            name: url for name in COMMAND_FUNCTIONS if (url := os.environ.get(broker_setting(name)))
        }
        if ingest_url is None:
            journal, journal_plugin = prepare_journal(data_dir, options.journal)
            write_journal(data_dir, journal)
            mosquitto = MosquittoServer(
                data_dir,
                options.mqtt_port,
                options.mqtts_port,
                host=options.host,
                plain_host=options.mqtt_host,
                preferred=(_MQTT_PORT, _MQTTS_PORT),
                tls=ensure_tls_files(data_dir, [options.host, options.mqtt_host]),
                journal_plugin=journal_plugin,
                options=BrokerOptions(sync_journal=journal.mode == "synced", log_connections=True),
            )
            self._servers.append(mosquitto)
            ingest_url = mosquitto.user_url(INGEST_USER)
            self._command_urls = {
                "mqtt_command": mosquitto.user_url(COMMAND_USER),
                "lorawan_command": mosquitto.user_url(LORAWAN_COMMAND_USER),
            }
            mqtt_url, mqtts_url = mosquitto.plain_url, mosquitto.tls_url
        else:
            write_journal(data_dir, None)
            mqtt_url = mqtts_url = _without_user(ingest_url)
        self._environment = worker_environment(
            run_dir=self._run_dir,
            database_url=database_url,
            redis_url=redis_url,
            broker_url=ingest_url,
            command_broker_urls=self._command_urls,
            ingest_every_s=options.ingest_every_s,
            sync_every_s=options.sync_every_s,
        )
        write_environment(data_dir, {**self._environment, "PLUMBLINE_DEVICE_URL": mqtt_url})
        port = options.portal_port or remembered_port(
            data_dir, "portal", still_ours=False, preferred=_PORTAL_PORT
        )
        return Endpoints(
            portal_url=f"http://{url_host(options.portal_host)}:{port}",
            mqtt_url=mqtt_url,
            mqtts_url=mqtts_url,
            database_url=database_url,
            redis_url=redis_url,
            pid=os.getpid(),
            portal_username=_DEMO_USER if options.demo else None,
            portal_password=password(data_dir, "portal") if options.demo else None,
        )

    def _steps(self) -> list[ManagedProcess]:
        own = {server.name for server in self._servers}
        demo = [f"demo-{number:02d}" for number in range(1, _DEMO_DEVICES + 1)]
        steps = [
            self._process(
                "prepare-database",
                [sys.executable, "-m", "plumbline.local.prepare_database"],
                requires=sorted(own & {"postgres"}),
                once=True,
            ),
            self._process(
                "prepare-broker",
                [sys.executable, "-m", "plumbline.local.prepare_broker", str(self._data_dir)]
                + (demo if self._options.demo else []),
                requires=["prepare-database", *sorted(own & {"mosquitto"})],
                once=True,
            ),
        ]
        username, given = self._endpoints.portal_username, self._endpoints.portal_password
        if username is not None and given is not None:
            steps.append(
                self._process(
                    "prepare-portal",
                    [sys.executable, "-m", "plumbline.local.prepare_portal"],
                    requires=["prepare-database"],
                    once=True,
                    environment={"DEMO_USERNAME": username, "DEMO_PASSWORD": given},
                )
            )
        return steps

    def _workers(self) -> list[ManagedProcess]:
        silent = set(COMMAND_FUNCTIONS) - self._command_urls.keys()
        return [
            self._process(
                name,
                worker_argv(name, without=silent),
                requires=["prepare-broker"],
                ready=self._have_run(functions),
            )
            for name, functions in WORKERS.items()
        ]

    def _portal(self) -> ManagedProcess:
        url = urlsplit(self._endpoints.portal_url)
        return self._process(
            "portal",
            [sys.executable, "-m", "plumbline.portal"],
            requires=["prepare-portal" if self._options.demo else "prepare-database"],
            ready=lambda: portal_answers(self._endpoints.portal_url),
            environment={
                # Whoever starts the system may set any of the portal's settings.
                **{name: os.environ[name] for name in os.environ if name.startswith("PORTAL_")},
                "PORTAL_HOST": self._options.portal_host,
                "PORTAL_PORT": str(url.port),
                "PORTAL_LOOPBACK_COOKIE": "true",
            },
        )

    def _simulator(self) -> ManagedProcess:
        config = self._data_dir / "demo" / "simulator.json"
        return self._process(
            "simulator",
            [sys.executable, "-m", "plumbline.simulator", "--config", str(config)],
            requires=list(WORKERS),
        )

    def _process(  # noqa: PLR0913 - each is one property of a process, given by keyword
        self,
        name: str,
        argv: Sequence[str],
        *,
        requires: Sequence[str],
        once: bool = False,
        ready: Callable[[], bool] = lambda: True,
        environment: dict[str, str] | None = None,
    ) -> ManagedProcess:
        return WorkerProcess(
            ProcessSpec(
                name=name,
                argv=argv,
                env=self._environment | (environment or {}),
                requires=requires,
                once=once,
                ready=ready,
                log_path=self._data_dir / "logs" / f"{name}.log",
            )
        )

    def _have_run(self, functions: Sequence[str]) -> Callable[[], bool]:
        """Return a check that the first scheduled one of the functions has run."""
        files = [self._run_dir / "functions" / f"{name}.json" for name in functions]
        return lambda: any(path.exists() for path in files)

    def _ready(self) -> None:
        write_endpoints(self._data_dir, self._endpoints)
        self._announce(self._endpoints)


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
