"""The supervisor, in a process of its own, with real servers and small workers."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from plumbline.local.backoff import Backoff
from plumbline.local.servers.leftovers import running_processes
from plumbline.local.servers.process import ProcessSpec, WorkerProcess
from plumbline.local.supervisor import Supervisor

PROGRAM = Path(__file__).with_name("supervised.py")
IGNORE_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "

SERVERS = {"postgres": "postgres", "redis": "redis-server", "mosquitto": "mosquitto"}

Event = dict[str, str]


class Supervised:
    """A running supervisor and the events that it logs."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        # Tests that run under nohup would hand down that it is ignored.
        hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(data_dir), *arguments],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        signal.signal(signal.SIGHUP, hangup)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def wait_for(self, event: str, deadline_s: float = 30.0, **fields: str) -> Event:
        """Return the next event of that name with these fields; drop those before it."""
        deadline = time.monotonic() + deadline_s
        seen: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                line = None
            assert line is not None, f"no {event} {fields}, but {seen}"
            seen.append(line)
            found = parse(line)
            if found["event"] == event and fields.items() <= found.items():
                return found

    def rest(self) -> list[str]:
        """Return what it still logged, once it has ended."""
        self.process.wait(20)
        self._reader.join()
        lines = []
        while (line := self._lines.get()) is not None:
            lines.append(line)
        return lines

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Stop it; return the seconds that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - began

    def close(self) -> None:
        """Stop it if it runs yet, and release what it holds."""
        if self.process.poll() is None:
            self.stop()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


def parse(line: str) -> Event:
    """Return time, event and fields of a line; a line of another kind has no event."""
    _, _, rest = line.partition("Z ")
    event, *fields = rest.split(" ") if rest else [""]
    return {"event": event, **{n: v for n, s, v in (f.partition("=") for f in fields) if s}}


@pytest.fixture
def run(data_dir: Path) -> Iterator[Callable[..., Supervised]]:
    """Yield what starts a supervisor in the data directory, stopped at the end."""
    started: list[Supervised] = []

    def start(*arguments: str) -> Supervised:
        started.append(Supervised(data_dir, *arguments))
        return started[-1]

    yield start
    for supervised in started:
        supervised.close()


def sleeper(data_dir: Path, before: str = "") -> str:
    """Return a worker that is ready, once it has done what comes before, and sleeps."""
    ready = f"pathlib.Path({str(data_dir / 'worker')!r}).touch()"
    return f"worker={before}import pathlib, time; {ready}; time.sleep(600)"


def runs(pid: int) -> bool:
    """Tell whether the process exists and is more than an entry that nobody has read yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("ascii")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def one_pid(name: str, data_dir: Path) -> int:
    """Return the oldest process of the server, its parent of all others."""
    return min(running_processes(SERVERS[name], data_dir))


def wait_until(condition: Callable[[], bool], deadline_s: float = 15.0) -> None:
    """Poll until the condition holds; fail after the deadline."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def nothing_runs(data_dir: Path) -> bool:
    """Tell whether no server process is left."""
    return not any(running_processes(program, data_dir) for program in SERVERS.values())


def test_each_killed_server_comes_back_and_the_others_go_on(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    supervised = run("--servers", "--worker", sleeper(data_dir))
    supervised.wait_for("system_ready")
    for name in SERVERS:
        others = {other: one_pid(other, data_dir) for other in SERVERS if other != name}
        os.kill(one_pid(name, data_dir), signal.SIGKILL)
        ended = supervised.wait_for("process_ended", name=name)
        assert ended["status"] == "-9"
        assert ended["restart_in_s"] == "0.2"
        supervised.wait_for("process_ready", name=name)
        assert {other: one_pid(other, data_dir) for other in others} == others


def test_a_killed_worker_comes_back(run: Callable[..., Supervised], data_dir: Path) -> None:
    supervised = run("--worker", sleeper(data_dir))
    pid = int(supervised.wait_for("process_started")["pid"])
    supervised.wait_for("system_ready")
    os.kill(pid, signal.SIGKILL)
    assert int(supervised.wait_for("process_started")["pid"]) != pid


def test_what_a_killed_worker_started_ends_with_it(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    """It would keep a port, or go on beside its successor."""
    mark = data_dir / "child"
    fork = (
        "import subprocess as s; child = s.Popen(['sleep', '60'], stderr=s.DEVNULL); "
        f"open({str(mark)!r}, 'w').write(str(child.pid)); "
    )
    supervised = run("--worker", sleeper(data_dir, fork))
    pid = int(supervised.wait_for("process_started")["pid"])
    supervised.wait_for("system_ready")
    child = int(mark.read_text("ascii"))
    os.kill(pid, signal.SIGKILL)
    supervised.wait_for("process_ended")
    wait_until(lambda: not runs(child))


def test_a_worker_that_ends_again_and_again_waits_twice_as_long_each_time(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    """It is ready once, and then ends whenever it is started."""
    endpoints = str(data_dir / "endpoints.json")
    end = f"import os, sys; os.path.exists({endpoints!r}) and sys.exit(); "
    supervised = run("--first-backoff", "0.01", "--worker", sleeper(data_dir, end))
    pid = int(supervised.wait_for("process_started")["pid"])
    supervised.wait_for("system_ready")
    os.kill(pid, signal.SIGKILL)
    waits = [supervised.wait_for("process_ended")["restart_in_s"] for _ in range(5)]
    assert waits == ["0.01", "0.02", "0.04", "0.08", "0.16"]


def test_the_wait_before_a_restart_has_a_limit() -> None:
    waits = [Backoff().wait_s(failures) for failures in (1, 2, 3, 6, 7, 1000)]
    assert waits == [0.2, 0.4, 0.8, 6.4, 10.0, 10.0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_workers_before_servers_and_leaves_nothing(
    run: Callable[..., Supervised], data_dir: Path, number: signal.Signals
) -> None:
    endpoints, served = data_dir / "endpoints.json", data_dir / "served"
    handler = f"""
import json, signal, socket, sys, time
def finish(*_):
    time.sleep(0.3)
    for port in json.load(open({str(data_dir / "ports.json")!r})).values():
        if port != mosquitto_tls: socket.create_connection(("127.0.0.1", port)).close()
    open({str(served)!r}, "w").close()
    sys.exit()
mosquitto_tls = json.load(open({str(data_dir / "ports.json")!r}))["mosquitto-tls"]
signal.signal(signal.SIGTERM, finish)
"""
    supervised = run("--servers", "--worker", sleeper(data_dir, handler))
    supervised.wait_for("system_ready")
    assert endpoints.exists()
    assert supervised.stop(number) < 15
    assert supervised.process.returncode == 0
    assert served.exists()
    assert not endpoints.exists()
    assert nothing_runs(data_dir)


def test_a_worker_that_does_not_stop_is_killed_and_the_servers_stop_in_order(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    supervised = run("--servers", "--worker", sleeper(data_dir, IGNORE_SIGTERM))
    supervised.wait_for("system_ready")
    assert supervised.stop() < 15
    assert supervised.process.returncode == 0
    events = [parse(line) for line in supervised.rest()]
    killed = [event["name"] for event in events if event["event"] == "process_killed"]
    assert killed == ["worker"]
    assert nothing_runs(data_dir)


def test_servers_that_do_not_stop_are_killed_in_time(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    supervised = run("--servers", "--worker", sleeper(data_dir, IGNORE_SIGTERM))
    supervised.wait_for("system_ready")
    for name in SERVERS:
        os.kill(one_pid(name, data_dir), signal.SIGSTOP)
    assert supervised.stop() < 15
    assert nothing_runs(data_dir)


def test_ctrl_c_reaches_the_supervisor_alone(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    """A terminal sends SIGINT to the whole group; the workers' stop must stay in order."""
    code = "import os, signal; signal.signal(signal.SIGINT, lambda *_: os.write(2, b'hit\\n')); "
    supervised = run("--worker", sleeper(data_dir, code))
    supervised.wait_for("system_ready")
    os.killpg(supervised.process.pid, signal.SIGINT)
    lines = supervised.rest()
    assert [parse(line)["event"] for line in lines] == ["system_stopping", "system_stopped"]


def test_a_second_system_on_the_data_directory_is_refused(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    supervised = run("--worker", sleeper(data_dir))
    supervised.wait_for("system_ready")
    second = run("--worker", sleeper(data_dir))
    (message,) = second.rest()
    assert str(data_dir) in message
    assert f"process {supervised.process.pid}" in message
    assert "--data-dir" in message
    assert second.process.returncode == 1
    assert (data_dir / "endpoints.json").exists()


def test_a_data_directory_that_cannot_be_is_refused_by_its_option(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    (data_dir / "lock").mkdir()
    (message,) = run("--worker", sleeper(data_dir)).rest()
    assert f"--data-dir {data_dir} cannot be used" in message


def test_a_killed_supervisor_takes_all_with_it_and_the_next_start_has_the_data(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    supervised = run("--servers", "--worker", sleeper(data_dir))
    worker = int(supervised.wait_for("process_started", name="worker")["pid"])
    supervised.wait_for("system_ready")
    port = (data_dir / "ports.json").read_text("ascii")
    secret = (data_dir / "secrets" / "postgres-plumbline").read_text("ascii")
    number = int(port.split('"postgres": ')[1].split(",")[0])
    url = f"postgresql://plumbline:{secret}@127.0.0.1:{number}/plumbline"
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    supervised.process.kill()
    supervised.process.wait()
    again = run("--servers")
    again.wait_for("system_ready")
    assert not runs(worker)
    assert (data_dir / "ports.json").read_text("ascii") == port
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_what_runs_once_runs_before_what_requires_it(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    """Its first run fails, as a migration does whose database is not there yet."""
    mark = data_dir / "tried"
    code = f"import os, sys; p={str(mark)!r}; e=os.path.exists(p); open(p, 'w'); sys.exit(not e)"
    supervised = run("--once", f"migration={code}", "--worker", sleeper(data_dir))
    assert supervised.wait_for("process_started")["name"] == "migration"
    assert supervised.wait_for("process_ended")["status"] == "1"
    assert supervised.wait_for("process_started")["name"] == "migration"
    assert supervised.wait_for("process_done")["name"] == "migration"
    assert supervised.wait_for("process_started")["name"] == "worker"
    supervised.wait_for("system_ready")


def test_a_system_that_cannot_start_says_why_and_stops_what_it_started(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    supervised = run("--servers", "--first-backoff", "0.01", "--worker", "worker=exit(3)")
    lines = supervised.rest()
    assert supervised.process.returncode == 1
    assert lines[-1] == "worker ended 5 times, last with status 3"
    assert nothing_runs(data_dir)


def test_a_ready_system_costs_no_cpu_and_little_memory(
    run: Callable[..., Supervised], data_dir: Path
) -> None:
    supervised = run("--servers", "--worker", sleeper(data_dir))
    supervised.wait_for("system_ready")
    process = Path(f"/proc/{supervised.process.pid}")

    def ticks() -> int:
        fields = (process / "stat").read_text("ascii").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(2)  # the time that is measured, no wait for anything
    assert ticks() - before <= 1
    status = (process / "status").read_text("ascii")
    resident_kb = int(status.partition("VmRSS:")[2].split()[0])
    assert resident_kb < 26_000


def test_a_requirement_that_is_missing_is_an_error_of_the_program(tmp_path: Path) -> None:
    lost = WorkerProcess(ProcessSpec(name="worker", argv=["true"], requires=("database",)))
    with pytest.raises(ValueError, match="worker"):
        Supervisor(tmp_path, [lost], on_ready=lambda: None)
