"""PostgreSQL, Redis and Mosquitto as child processes: started, killed, left behind, stopped."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from plumbline.adapters.mqtt.configuration import SERVICE_USERS
from plumbline.errors import ConfigurationError, TransientError
from plumbline.local.servers import ports
from plumbline.local.servers.leftovers import running_processes
from plumbline.local.servers.logs import open_log
from plumbline.local.servers.mosquitto import MosquittoServer
from plumbline.local.servers.passwords import password
from plumbline.local.servers.postgres import SUPERUSER, PostgresServer
from plumbline.local.servers.redis import RedisServer
from plumbline.local.servers.server import Server
from plumbline.local.servers.tls_files import TlsFiles

READY_S = 30.0

PROGRAMS = {PostgresServer: "postgres", RedisServer: "redis-server", MosquittoServer: "mosquitto"}

# A parent that starts a server and waits to be killed.
STARTER = """
import sys, time
from pathlib import Path
from plumbline.local.servers.{module} import {name} as Kind
server = Kind(Path(sys.argv[1]))
server.start()
server.wait_ready(30)
print(server.pid, flush=True)
time.sleep(60)
"""


@contextmanager
def no_room() -> Iterator[None]:
    """Let every byte written to a file fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_start_on_a_full_disk_leaves_nothing_behind(data_dir: Path) -> None:
    server = RedisServer(data_dir)
    server.prepare()
    before = sorted(path.name for path in server.directory.iterdir())
    with no_room(), pytest.raises(OSError, match="File too large"):
        server.prepare()
    assert sorted(path.name for path in server.directory.iterdir()) == before


@pytest.fixture(params=list(PROGRAMS), ids=lambda kind: PROGRAMS[kind])
def kind(request: pytest.FixtureRequest) -> type[Server]:
    """Return each server's class."""
    cls: type[Server] = request.param
    return cls


@pytest.fixture
def running(kind: Callable[[Path], Server], data_dir: Path) -> Iterator[Server]:
    """Yield each server, ready."""
    server = kind(data_dir)
    server.start()
    try:
        server.wait_ready(READY_S)
        yield server
    finally:
        server.stop()


def wait_until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Poll until the condition holds; fail after the deadline."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def kill(server: Server) -> None:
    """End the server's main process as the kernel does when memory is short."""
    server.send_signal(signal.SIGKILL)
    assert server.wait(5)


def test_a_killed_server_starts_again_at_its_port(running: Server) -> None:
    address = running.addresses()[0]
    kill(running)
    running.start()
    running.wait_ready(READY_S)
    assert running.addresses()[0] == address


def test_a_stopped_server_ends_within_seconds_and_leaves_no_process(
    running: Server, data_dir: Path
) -> None:
    began = time.monotonic()
    running.stop()
    assert time.monotonic() - began < 5
    assert not running_processes(PROGRAMS[type(running)], data_dir)


def test_a_server_that_does_not_stop_in_time_is_killed_with_its_children(
    running: Server, data_dir: Path
) -> None:
    running.send_signal(signal.SIGSTOP)
    running.stop(timeout_s=0.2)
    assert not running.alive()
    assert not running_processes(PROGRAMS[type(running)], data_dir)


def test_a_server_left_behind_makes_way_for_the_next_run(
    running: Server, kind: Callable[[Path], Server], data_dir: Path
) -> None:
    """The next run knows nothing of the process but its directory."""
    following = kind(data_dir)
    following.start()
    try:
        following.wait_ready(READY_S)
        assert following.addresses() == running.addresses()
        assert not running.alive()
    finally:
        following.stop()


def test_a_server_dies_with_the_process_that_started_it(kind: type[Server], data_dir: Path) -> None:
    module = kind.__module__.rpartition(".")[2]
    program = STARTER.format(module=module, name=kind.__name__)
    argv = [sys.executable, "-c", program, str(data_dir)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert int(starter.stdout.readline()) in running_processes(PROGRAMS[kind], data_dir)
        starter.kill()
    wait_until(lambda: not running_processes(PROGRAMS[kind], data_dir))


def test_a_server_runs_below_a_directory_that_its_user_cannot_enter(
    kind: Callable[[Path], Server], data_dir: Path
) -> None:
    """As root the server has a user of its own; it gets no capability to help it."""
    hidden = data_dir / "only root" / "enters"
    hidden.mkdir(parents=True)
    hidden.parent.chmod(0o700)
    server = kind(hidden / "data")
    server.start()
    try:
        server.wait_ready(READY_S)
        kill(server)
        server.start()
        server.wait_ready(READY_S)
        status = Path(f"/proc/{server.pid}/status").read_text("ascii")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert "0" not in fields["Uid"].split()
        assert "0" not in fields["Gid"].split()
        assert int(fields["CapEff"], 16) == 0
    finally:
        server.stop()


def test_a_taken_port_is_refused_by_the_name_of_its_option(
    kind: Callable[[Path, int], Server], data_dir: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        server = kind(data_dir, port)
        with pytest.raises(ConfigurationError, match=rf"port {port} .* --\w+-port"):
            server.start()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(data_dir: Path) -> None:
    server = PostgresServer(data_dir)
    server.start()
    server.wait_ready(READY_S)
    server.stop()
    (data_dir / "postgres" / "data" / "global" / "pg_control").unlink()
    server.start()
    with pytest.raises(TransientError, match=r"(?s)postgres ended with status 2.*pg_control"):
        server.wait_ready(READY_S)


def test_root_follows_no_link_that_a_server_put_into_its_directory(
    data_dir: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept", "ascii")
    server = RedisServer(data_dir)
    server.start()
    server.wait_ready(READY_S)
    server.stop()
    (data_dir / "redis" / "redis.conf").unlink()
    (data_dir / "redis" / "redis.conf").symlink_to(victim)
    server.start()
    server.wait_ready(READY_S)
    server.stop()
    assert victim.read_text("ascii") == "kept"
    assert victim.stat().st_uid == os.geteuid()


def test_postgres_is_durable_checks_its_pages_and_gives_no_superuser(
    postgres_server: PostgresServer,
) -> None:
    settings = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums")
    with psycopg.connect(postgres_server.url) as connection:
        for setting in settings:
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)
        superuser = "SELECT usesuper FROM pg_user WHERE usename = current_user"
        assert connection.execute(superuser).fetchone() == (False,)
        assert connection.execute("SELECT current_database()").fetchone() == ("plumbline",)


def test_postgres_keeps_what_was_committed_over_kill(data_dir: Path) -> None:
    server = PostgresServer(data_dir)
    server.start()
    try:
        server.wait_ready(READY_S)
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        kill(server)
        server.start()
        server.wait_ready(READY_S)
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    finally:
        server.stop()


def test_postgres_ignores_a_lock_file_whose_process_id_is_another_server_now(
    data_dir: Path, postgres_server: PostgresServer
) -> None:
    """As after a restart of the machine, when the numbers are given anew."""
    server = PostgresServer(data_dir)
    server.start()
    server.wait_ready(READY_S)
    lock = data_dir / "postgres" / "data" / "postmaster.pid"
    content = lock.read_text("ascii")
    server.stop()
    lock.write_text(content.replace(str(server.pid), str(postgres_server.pid), 1), "ascii")
    shutil.chown(lock, lock.parent.stat().st_uid, lock.parent.stat().st_gid)
    server.start()
    try:
        server.wait_ready(READY_S)
    finally:
        server.stop()


def test_postgres_begins_anew_where_its_first_start_was_cut_off(data_dir: Path) -> None:
    (data_dir / "other" / "postgres" / "new" / "base").mkdir(parents=True)
    server = PostgresServer(data_dir / "other")
    server.start()
    try:
        server.wait_ready(READY_S)
    finally:
        server.stop()


def test_postgres_takes_only_passwords(postgres_server: PostgresServer) -> None:
    url = f"postgresql://{SUPERUSER}@127.0.0.1:{postgres_server.port}/postgres"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url)


def test_a_cluster_of_another_version_is_refused(data_dir: Path) -> None:
    server = PostgresServer(data_dir)
    server.start()
    server.wait_ready(READY_S)
    server.stop()
    (data_dir / "postgres" / "data" / "PG_VERSION").write_text("14\n", "ascii")
    with pytest.raises(ConfigurationError, match=r"PostgreSQL 14.*--data-dir"):
        server.start()


def test_redis_keeps_its_keys_and_evicts_none(data_dir: Path) -> None:
    server = RedisServer(data_dir)
    server.start()
    try:
        server.wait_ready(READY_S)
        with redis.Redis.from_url(server.url) as client:
            client.set("session", "1")
            policy = client.config_get("maxmemory-policy")
        assert policy == {"maxmemory-policy": "noeviction"}
        kill(server)
        server.start()
        server.wait_ready(READY_S)
        with redis.Redis.from_url(server.url) as client:
            assert client.get("session") == b"1"
    finally:
        server.stop()


def test_redis_wants_a_password(redis_server: RedisServer) -> None:
    with socket.create_connection(("127.0.0.1", redis_server.port), 5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(64).startswith(b"-NOAUTH")


def test_mosquitto_has_both_listeners(data_dir: Path, tls_files: TlsFiles) -> None:
    server = MosquittoServer(data_dir, tls=tls_files)
    server.start()
    try:
        server.wait_ready(READY_S)
        for port in (server.port, server.tls_port):
            socket.create_connection(("127.0.0.1", port), 5).close()
    finally:
        server.stop()


def test_mosquitto_keeps_the_devices_credentials_over_a_start(data_dir: Path) -> None:
    server = MosquittoServer(data_dir)
    server.start()
    server.wait_ready(READY_S)
    server.stop()
    passwords = data_dir / "mosquitto" / "passwords"
    with passwords.open("a", encoding="ascii") as file:
        file.write("d1:$7$101$salt$hash\n")
    server.start()
    server.wait_ready(READY_S)
    server.stop()
    users = [line.partition(":")[0] for line in passwords.read_text("ascii").splitlines()]
    assert users == ["d1", *sorted(SERVICE_USERS)]


def test_a_free_port_is_none_that_the_kernel_gives_to_clients() -> None:
    """A client whose server is down would else connect to itself and keep the port."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    assert all(ports.free_port() < first for _ in range(50))


def test_a_remembered_port_is_kept_until_a_stranger_has_it(tmp_path: Path) -> None:
    port = ports.remembered_port(tmp_path, "redis", still_ours=False)
    assert ports.remembered_port(tmp_path, "redis", still_ours=False) == port
    with socket.create_server(("127.0.0.1", port)):
        assert ports.remembered_port(tmp_path, "redis", still_ours=True) == port
        assert ports.remembered_port(tmp_path, "redis", still_ours=False) != port


def test_a_password_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = password(tmp_path, "redis")
    assert password(tmp_path, "redis") == first
    assert password(tmp_path, "other") != first
    modes = [p.stat().st_mode & 0o777 for p in (tmp_path / "secrets", tmp_path / "secrets/redis")]
    assert modes == [0o700, 0o600]


def test_a_large_log_is_put_aside_at_the_next_start(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_bytes(b"old\n")
    os.truncate(log, 16 * 1024 * 1024)
    open_log(log).close()
    assert log.stat().st_size == 0
    assert (tmp_path / "server.log.1").stat().st_size == 16 * 1024 * 1024
