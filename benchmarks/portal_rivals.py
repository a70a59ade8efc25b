"""What the portal is measured against: its server's floor, and the obvious way.

`python -m benchmarks.portal_rivals` serves the floor, with the settings of the portal's server.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import redis.asyncio
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from plumbline.local.servers.ports import free_port
from plumbline.portal.__main__ import serve
from plumbline.settings import PortalServerSettings, load

_READY_S = 30.0
_ANSWER = (
    b'{"device_id":"dev-7","current_status":"normal","last_seen":"2026-01-31T12:00:00.123456Z",'
    b'"tilt_angle":1.2345,"battery_level":87,"synced_at":"2026-01-31T12:00:01.123456Z",'
    b'"age_s":3.251}'
)
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_ANSWER))],
}
_BODY = {"type": "http.response.body", "body": _ANSWER}


async def _bare(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
    if scope["type"] == "http":
        await send(_START)
        await send(_BODY)


def bare() -> ASGIApp:
    """Return a handler that answers everything with a constant of the size of a status."""
    return _bare


def obvious() -> FastAPI:
    """Return FastAPI with a pool of redis-py, as its tutorial has it; nobody need sign in."""
    app = FastAPI()
    pool = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

    @app.get("/api/v1/devices/{device_id}/status")
    async def status(device_id: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(await pool.get(f"device:{device_id}:status") or "{}")
        return found

    return app


@contextmanager
def bare_server() -> Iterator[str]:
    """Run the floor and yield its URL."""
    port = free_port()
    argv = [sys.executable, "-P", "-m", "benchmarks.portal_rivals"]
    with _serving(argv, port, {"PORTAL_PORT": str(port)}) as url:
        yield url


@contextmanager
def obvious_server(redis_url: str) -> Iterator[str]:
    """Run FastAPI on uvicorn, with as many processes as the portal has, and yield its URL."""
    port = free_port()
    workers = load(PortalServerSettings).portal_workers
    argv = [sys.executable, "-P", "-m", "uvicorn", "--factory", "--workers", str(workers)]
    argv += ["--port", str(port), "--no-access-log", "benchmarks.portal_rivals:obvious"]
    with _serving(argv, port, {"REDIS_URL": redis_url}) as url:
        yield url


@contextmanager
def _serving(argv: Sequence[str], port: int, settings: Mapping[str, str]) -> Iterator[str]:
    null = subprocess.DEVNULL
    environment = {**os.environ, **settings}
    process = subprocess.Popen(argv, env=environment, stdout=null, stderr=null)
    try:
        deadline_s = time.monotonic() + _READY_S
        while not _listens(port):
            if time.monotonic() > deadline_s:
                msg = f"{argv[-1]} does not answer"
                raise TimeoutError(msg)
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    serve("benchmarks.portal_rivals:bare", load(PortalServerSettings))
