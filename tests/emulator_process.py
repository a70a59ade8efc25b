"""An emulator of AWS as a child process, on a free port of this machine."""

import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 10.0
_POLL_S = 0.05


@contextmanager
def running_emulator(
    command: Callable[[int], Sequence[str]],
    environment: Callable[[str, int], Mapping[str, str]],
    health_path: str,
    is_healthy: Callable[[bytes], bool],
) -> Iterator[str]:
    """Start an emulator, yield its URL when it answers, stop it at the end.

    Args:
        command: From the port to the command line.
        environment: From a directory of its own and the port to all of its environment.
        health_path: What it answers when it is ready.
        is_healthy: Whether that answer says so.

    Raises:
        RuntimeError: It does not start; with the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="plumbline-emulator-") as home:
        port = _free_port()
        log_file = Path(home) / "log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                command(port),
                cwd=home,
                env=environment(home, port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        url = f"http://{HOST}:{port}"
        try:
            _wait_ready(url + health_path, is_healthy, process, log_file)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(_STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_ready(
    url: str,
    is_healthy: Callable[[bytes], bool],
    process: subprocess.Popen[bytes],
    log_file: Path,
) -> None:
    deadline_s = time.monotonic() + _START_DEADLINE_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - our own http URL
                if is_healthy(answer.read()):
                    return
        except OSError:
            time.sleep(_POLL_S)
    msg = f"the emulator does not start:\n{log_file.read_text('utf-8', 'replace')[-4000:]}"
    raise RuntimeError(msg)
