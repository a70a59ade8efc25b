"""PostgreSQL as a child process."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

from plumbline.errors import ConfigurationError
from plumbline.local.servers import privileges
from plumbline.local.servers.binaries import find_postgres
from plumbline.local.servers.passwords import password
from plumbline.local.servers.privileges import Home
from plumbline.local.servers.process import Launch
from plumbline.local.servers.server import ENVIRONMENT, Server

MINIMUM_VERSION = 15
ROLE = "plumbline"
SUPERUSER = "postgres"

_INITDB_TIMEOUT_S = 120
_READY_TIMEOUT_S = 2
_HOST = "127.0.0.1"

# What an acknowledged reading rests on stands here although it is the default, so that nobody
# weakens it by accident. The rest suits a small machine: fewer checkpoints, small journals, and
# vacuum soon after the queues' tables have turned over.
_SETTINGS = """\
# Written at each start; settings of your own belong into postgresql.conf, below its last line.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
fsync = on
full_page_writes = on
synchronous_commit = on
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = 128MB
max_wal_size = 2GB
min_wal_size = 160MB
checkpoint_timeout = 15min
wal_compression = on
autovacuum_naptime = 10s
jit = off
max_logical_replication_workers = 0
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
"""


class PostgresServer(Server):
    """A PostgreSQL cluster below ``DATA_DIR/postgres``, made at the first start.

    It has the database ``plumbline``, owned by the role ``plumbline``, which is no superuser.

    Args:
        data_dir: The system's data directory.
        port: TCP port of 127.0.0.1; 0 or None takes a free one and keeps it.
    """

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        super().__init__(
            "postgres",
            program="postgres",
            system_user="postgres",
            data_dir=data_dir,
            stop_signal=signal.SIGINT,  # "fast": ends the sessions, then writes a checkpoint
            death_signal=signal.SIGQUIT,  # "immediate": the next start recovers from the journal
        )
        self.port = self.choose_port("postgres", port)
        self._password = password(self.data_dir, f"postgres-{ROLE}")
        self._superuser_password = password(self.data_dir, f"postgres-{SUPERUSER}")
        self._programs: Path | None = None

    @property
    def url(self) -> str:
        """The database as the role ``plumbline``."""
        return self.database_url(ROLE, ROLE)

    def database_url(self, database: str, user: str = ROLE) -> str:
        """Return the URL of a database, as the role ``plumbline`` or the superuser."""
        secret = self._superuser_password if user == SUPERUSER else self._password
        return f"postgresql://{user}:{quote(secret)}@{_HOST}:{self.port}/{database}"

    def addresses(self) -> list[tuple[str, int, str]]:
        """Return the one listener."""
        return [(_HOST, self.port, "--postgres-port")]

    def launch(self, home: Home) -> Launch:
        """Make the cluster where there is none yet, and write its settings."""
        version_file = home.directory / "data" / "PG_VERSION"
        major = int(version_file.read_text("ascii")) if version_file.exists() else None
        self._programs = find_postgres(MINIMUM_VERSION, major)
        if major is None:
            self._make_cluster(home, self._programs)
        self.write(home, "data/plumbline.conf", _SETTINGS.format(host=_HOST, port=self.port))
        # After a restart of the machine its process id may be another's; that no server runs
        # here is known already.
        (home.directory / "data" / "postmaster.pid").unlink(missing_ok=True)
        return Launch(
            argv=[str(self._programs / "postgres"), "-D", str(home.inside / "data")],
            environment=ENVIRONMENT,
            identity=home.identity,
            descriptors=home.descriptors,
        )

    def is_ready(self) -> bool:
        """Return whether it accepts connections; it does not while it recovers."""
        if self._programs is None:
            return False
        check = [str(self._programs / "pg_isready"), "-q", "-h", _HOST, "-p", str(self.port)]
        result = subprocess.run(
            [*check, "-t", str(_READY_TIMEOUT_S)], check=False, env=ENVIRONMENT, cwd="/"
        )
        return result.returncode == 0

    def _make_cluster(self, home: Home, programs: Path) -> None:
        # Under another name until it is complete: a start that was killed leaves nothing half.
        shutil.rmtree(home.directory / "new", ignore_errors=True)
        self.write(home, "password", self._superuser_password)
        new = str(home.inside / "new")
        initdb = [
            *(str(programs / "initdb"), "-D", new, "--data-checksums", "--no-instructions"),
            *("--encoding=UTF8", "--lc-collate=C", "--lc-ctype=C.UTF-8", "--lc-messages=C"),
            *("--auth=scram-sha-256", f"--username={SUPERUSER}"),
            f"--pwfile={home.inside / 'password'}",
        ]
        try:
            self._run(home, initdb)
        finally:
            (home.directory / "password").unlink()
        self._run(
            home,
            [str(programs / "postgres"), "--single", "-D", new, "template1"],
            f"CREATE ROLE {ROLE} LOGIN PASSWORD '{self._password}'\n"
            f"CREATE DATABASE {ROLE} OWNER {ROLE}\n",
        )
        with (home.directory / "new" / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("include_if_exists = 'plumbline.conf'\n")
        (home.directory / "new").rename(home.directory / "data")
        _sync_directory(home.directory)

    def _run(self, home: Home, argv: list[str], standard_input: str = "") -> None:
        result = subprocess.run(
            privileges.command(argv, home.identity, signal.SIGKILL),
            input=standard_input,
            check=False,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            cwd="/",
            pass_fds=home.descriptors,
            start_new_session=True,  # Ctrl-C is for us alone
            timeout=_INITDB_TIMEOUT_S,
        )
        # A single-user server ends with 0 after a failed statement too.
        if result.returncode != 0 or "ERROR:" in result.stderr:
            last = result.stderr.strip().splitlines()[-3:]
            msg = f"{argv[0]} failed in {home.directory}: {' '.join(last)}"
            raise ConfigurationError(msg)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
