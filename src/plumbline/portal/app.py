"""The ASGI application: health, and the devices with their status."""

import base64
import binascii
import secrets
import threading
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queries import load as load_queries
from plumbline.domain.reading import format_time, is_device_id
from plumbline.errors import HTTP_STATUS, PlumblineError, StoreUnavailable, of_type
from plumbline.settings import PortalSettings, load

_QUERIES = load_queries("portal.sql")
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000
_STATUSES = frozenset({"normal", "warning", "alarm", "fault"})


class Portal:
    """Serves requests from the database.

    Args:
        settings: Of this process.
    """

    def __init__(self, settings: PortalSettings) -> None:
        self._settings = settings
        self._local = threading.local()

    async def health(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature
        """Return 200 while the database answers, 503 otherwise."""
        try:
            await run_in_threadpool(self._fetch, "alive", {})
        except StoreUnavailable:
            return JSONResponse({"status": "unavailable"}, 503)
        return JSONResponse({"status": "ok"})

    async def devices(self, request: Request) -> Response:
        """Return registered devices, and others that have reported, with their newest status."""
        if not self._authorised(request):
            return problem(401, "Sign in", headers={"WWW-Authenticate": 'Basic realm="plumbline"'})
        query = request.query_params
        limit_text = query.get("limit", str(_DEFAULT_LIMIT))
        if not (limit_text.isascii() and limit_text.isdigit()) or not (
            1 <= int(limit_text[:9]) <= _MAX_LIMIT
        ):
            return problem(422, f"limit: an integer, 1 to {_MAX_LIMIT}")
        status = query.get("status")
        if status is not None and status not in _STATUSES:
            return problem(422, "status: one of " + ", ".join(sorted(_STATUSES)))
        try:
            after = _decode_cursor(query.get("cursor"))
        except ValueError:
            return problem(422, "cursor: not one that this API gave")
        limit = int(limit_text)
        rows = await run_in_threadpool(
            self._fetch,
            "devices",
            {
                "after": after,
                "status": status,
                "search": query.get("search", "").replace("\0", ""),
                "limit": limit + 1,
            },
        )
        now = datetime.now(UTC)
        body: dict[str, Any] = {
            "items": [_device(row, now) for row in rows[:limit]],
            "next_cursor": _encode_cursor(rows[limit - 1][0]) if len(rows) > limit else None,
        }
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    def _authorised(self, request: Request) -> bool:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(credentials, validate=True)
        except (binascii.Error, ValueError):
            return False
        expected = (
            f"{self._settings.portal_username}:{self._settings.portal_password.reveal()}".encode()
        )
        return secrets.compare_digest(given, expected)

    def _fetch(self, name: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        database = getattr(self._local, "database", None)
        if database is None:
            database = Database(self._settings.database_url.reveal(), StoreUnavailable)
            self._local.database = database
        try:
            return _execute(database, name, parameters)
        except StoreUnavailable:
            # The first request after the server's restart finds a connection that is dead.
            return _execute(database, name, parameters)


def _execute(database: Database, name: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with database.connection() as connection:
        return connection.execute(_QUERIES[name], parameters).fetchall()


def _device(row: tuple[Any, ...], now: datetime) -> dict[str, Any]:
    device_id, name, registered, disabled, status, last_seen, tilt_angle, battery_level = row
    return {
        "device_id": device_id,
        "name": name,
        "registered": registered,
        "disabled": disabled,
        "current_status": status,
        "last_seen": None if last_seen is None else format_time(last_seen),
        "age_s": None if last_seen is None else round((now - last_seen).total_seconds(), 3),
        "tilt_angle": tilt_angle,
        "battery_level": battery_level,
    }


def _encode_cursor(device_id: str) -> str:
    return base64.urlsafe_b64encode(device_id.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str | None) -> str:
    if cursor is None:
        return ""
    padded = cursor + "=" * (-len(cursor) % 4)
    device_id = base64.urlsafe_b64decode(padded.encode("ascii")).decode("ascii")
    if not is_device_id(device_id):
        raise ValueError
    return device_id


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return an RFC 9457 problem."""
    return JSONResponse(
        {"type": "about:blank", "status": status, "detail": detail},
        status,
        headers,
        media_type="application/problem+json",
    )


async def _plumbline_error(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the framework's signature
    assert isinstance(error, PlumblineError)  # noqa: S101 - registered for these only
    return problem(of_type(HTTP_STATUS, error), "the service is not available now")


def create_app() -> Starlette:
    """Make the application from the environment."""
    portal = Portal(load(PortalSettings))
    return Starlette(
        routes=[
            Route("/health", portal.health),
            Route("/api/v1/devices", portal.devices),
        ],
        exception_handlers={PlumblineError: _plumbline_error},
    )
