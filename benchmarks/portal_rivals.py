"""What the portal is measured against: the server's floor, and the obvious way."""

import json
import os

import redis.asyncio
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

STATUS_KEY = "device:dev-7:status"
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


async def bare(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
    """Answer everything with a constant of the size of a status."""
    if scope["type"] == "http":
        await send(_START)
        await send(_BODY)


def obvious() -> FastAPI:
    """Return FastAPI with a pool of redis-py, as its tutorial has it; nobody need sign in."""
    app = FastAPI()
    pool = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)

    @app.get("/api/v1/devices/{device_id}/status")
    async def status(device_id: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(await pool.get(f"device:{device_id}:status") or "{}")
        return found

    return app
