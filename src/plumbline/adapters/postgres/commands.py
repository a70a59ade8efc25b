"""Commands on PostgreSQL, as those see them who issue them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from plumbline.adapters.postgres.async_database import AsyncDatabase
from plumbline.adapters.postgres.queries import load
from plumbline.domain.audit import AuditEntry
from plumbline.domain.command import Command, CommandState, Verb
from plumbline.domain.device import DeviceClass, Lorawan, NetworkServer, Protocol
from plumbline.domain.issued_command import Issue, IssuedCommand, Target
from plumbline.errors import KeyReused

_SQL = load("commands.sql")
_AUDIT = load("accounts.sql")["audit"]


class PostgresCommands:
    """See ``issue_command.CommandStore``."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database

    async def target(self, device_id: str) -> Target | None:
        """Return how a device is reached; None where it is not registered."""
        rows = await self._database.fetch(_SQL["target"], {"device_id": device_id})
        if not rows:
            return None
        protocol, disabled, *lorawan = rows[0]
        return Target(device_id, Protocol(protocol), disabled, lorawan_of(*lorawan))

    async def add(self, command: Command, issue: Issue) -> IssuedCommand:
        """Store a command, or find what the same key has stored.

        Raises:
            KeyReused: The key was used with another request.
        """
        async with self._database.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                _SQL["insert"],
                {
                    "command_id": command.command_id,
                    "device_id": command.device_id,
                    "protocol": issue.protocol,
                    "command": command.verb.value,
                    "params": Jsonb(dict(command.params)),
                    "issued_by": issue.issued_by,
                    "idempotency_key": issue.idempotency_key,
                    "request_hash": issue.request_hash,
                    "issued_at": command.issued_at,
                    "expires_at": command.expires_at,
                },
            )
            row = await cursor.fetchone()
            if row is not None:
                await connection.execute(_AUDIT, _audit_values(issue.audit))
                return _issued(row)
            cursor = await connection.execute(
                _SQL["by_key"],
                {"issued_by": issue.issued_by, "idempotency_key": issue.idempotency_key},
            )
            rows = await cursor.fetchall()
        *earlier, request_hash = rows[0]
        if bytes(request_hash) != issue.request_hash:
            msg = "the key was used for another command"
            raise KeyReused(msg)
        return _issued(earlier)

    async def get(self, command_id: UUID) -> IssuedCommand | None:
        """Return one command, or None."""
        rows = await self._database.fetch(_SQL["by_id"], {"command_id": command_id})
        return _issued(rows[0]) if rows else None

    async def newest(
        self, device_id: str | None, *, state: str | None, before: int | None, limit: int
    ) -> list[IssuedCommand]:
        """Return commands of a device or of all, newest first; see CommandStore."""
        wanted = {"device_id": device_id, "state": state, "before": before, "limit": limit}
        return [_issued(row) for row in await self._database.fetch(_SQL["newest"], wanted)]

    async def cancel(self, command_id: UUID, audit: AuditEntry) -> bool:
        """Take a command back; False where somebody may have it already, or it is at an end."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_SQL["lock_receiving"])
            cursor = await connection.execute(_SQL["cancel"], {"command_id": command_id})
            cancelled = await cursor.fetchone() is not None
            if cancelled:
                await connection.execute(_AUDIT, _audit_values(audit))
        return cancelled


def lorawan_of(  # noqa: PLR0913, PLR0917 - one argument a column
    dev_eui: str | None,
    network_server: str | None,
    application: str | None,
    tenant: str | None,
    network_device_id: str | None,
    sensor_model: str | None,
    uplink_interval_s: int | None = None,
    device_class: str | None = None,
) -> Lorawan | None:
    """Return what the registry says of a LoRaWAN device; None where that is too little."""
    if dev_eui is None or network_server is None or application is None or sensor_model is None:
        return None
    return Lorawan(
        dev_eui=dev_eui,
        network_server=NetworkServer(network_server),
        application=application,
        tenant=tenant,
        network_device_id=network_device_id,
        sensor_model=sensor_model,
        uplink_interval_s=uplink_interval_s,
        device_class=DeviceClass(device_class or DeviceClass.A),
    )


def _audit_values(entry: AuditEntry) -> dict[str, Any]:
    return {
        "actor": entry.actor,
        "via": entry.via,
        "action": entry.action,
        "target": entry.target,
        "address": entry.address,
        "request_id": entry.request_id,
        "detail": Jsonb(dict(entry.detail)),
    }


def _issued(row: Sequence[Any]) -> IssuedCommand:
    (command_id, position, device_id, protocol, verb, params, state, attempts, detail) = row[:9]
    issued_by, issued_at, expires_at, *times = row[9:]
    return IssuedCommand(
        command_of(command_id, device_id, verb, params, issued_at, expires_at),
        position,
        Protocol(protocol),
        CommandState(state),
        attempts,
        detail,
        issued_by,
        *times,
    )


def command_of(  # noqa: PLR0913, PLR0917 - one argument a column
    command_id: UUID,
    device_id: str,
    verb: str,
    params: Mapping[str, Any],
    issued_at: datetime,
    expires_at: datetime,
) -> Command:
    """Return the command of a row."""
    return Command(
        command_id, device_id, Verb(verb), params, issued_at=issued_at, expires_at=expires_at
    )
