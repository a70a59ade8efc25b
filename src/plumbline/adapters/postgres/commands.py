"""Commands on PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from plumbline.adapters.postgres.async_database import AsyncConnection, AsyncDatabase
from plumbline.adapters.postgres.queries import load
from plumbline.domain.command import Command, CommandState, Verb

_SQL = load("commands.sql")
_AUDIT = load("accounts.sql")["audit"]

_RELAYED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Target:
    """How a registered device is reached, and whether it may be."""

    protocol: str
    disabled: bool


@dataclass(frozen=True, slots=True)
class Issue:
    """Who issues a command, and how a repetition of it is known.

    Attributes:
        issued_by: User name.
        idempotency_key: Of the caller, or None.
        request_hash: Of all that was asked with it.
        protocol: Of the device.
        audit: Parameters of the audit log's entry, written with the command.
    """

    issued_by: str
    idempotency_key: str | None
    request_hash: bytes
    protocol: str
    audit: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class IssuedCommand:
    """A command and where it is; times are aware UTC.

    Attributes:
        position: Ascends with every command.
        detail: Why it failed; else empty.
    """

    command: Command
    position: int
    protocol: str
    state: CommandState
    detail: str
    issued_by: str
    sent_at: datetime | None
    acknowledged_at: datetime | None
    failed_at: datetime | None
    expired_at: datetime | None
    cancelled_at: datetime | None


class KeyUsedOtherwise(Exception):
    """The caller has used the idempotency key for something else."""


class PostgresCommands:
    """Every method raises StoreUnavailable where the database cannot serve."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._database = database

    async def target(self, device_id: str) -> Target | None:
        """Return how a device is reached; None where it is not registered."""
        rows = await self._database.fetch(_SQL["target"], {"device_id": device_id})
        return Target(*rows[0]) if rows else None

    async def add(self, command: Command, issue: Issue) -> tuple[IssuedCommand, bool]:
        """Store a command, or find what the same key has stored; and whether it is new.

        Raises:
            KeyUsedOtherwise: The key was used with another request.
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
                await connection.execute(_AUDIT, issue.audit)
                return _issued(row), True
            cursor = await connection.execute(
                _SQL["by_key"],
                {"issued_by": issue.issued_by, "idempotency_key": issue.idempotency_key},
            )
            rows = await cursor.fetchall()
        *earlier, request_hash = rows[0]
        if bytes(request_hash) != issue.request_hash:
            raise KeyUsedOtherwise
        return _issued(earlier), False

    async def get(self, command_id: UUID) -> IssuedCommand | None:
        """Return one command, or None."""
        rows = await self._database.fetch(_SQL["by_id"], {"command_id": command_id})
        return _issued(rows[0]) if rows else None

    async def of_device(
        self, device_id: str, *, state: str | None, before: int | None, limit: int
    ) -> list[IssuedCommand]:
        """Return a device's commands, newest first.

        Args:
            device_id: Of the device.
            state: Only in this state.
            before: Only those with a lower position: the next page after the last one's.
            limit: At most so many.
        """
        wanted = {"device_id": device_id, "state": state, "before": before, "limit": limit}
        return [_issued(row) for row in await self._database.fetch(_SQL["of_device"], wanted)]

    async def cancel(self, command_id: UUID, audit: Mapping[str, Any]) -> bool:
        """Take a command back; False where somebody may have it already, or it is at an end."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_SQL["lock_receiving"])
            cursor = await connection.execute(_SQL["cancel"], {"command_id": command_id})
            cancelled = await cursor.fetchone() is not None
            if cancelled:
                await connection.execute(_AUDIT, audit)
        return cancelled


@dataclass(frozen=True, slots=True)
class Unrelayed:
    """A command that waits for its queue."""

    command: Command
    protocol: str


class Relaying:
    """One turn of the relay, within its transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def begin(self) -> bool:
        """Take the relay's turn; False while another process has it."""
        cursor = await self._connection.execute(_SQL["lock_relay"])
        row = await cursor.fetchone()
        return row is not None and bool(row[0])

    async def waiting(self) -> list[Unrelayed]:
        """Return the first that wait, by position; what is past its end expires."""
        await self._connection.execute(_SQL["expire_unrelayed"])
        cursor = await self._connection.execute(_SQL["unrelayed"], {"limit": _RELAYED_AT_ONCE})
        return [
            Unrelayed(
                _command(command_id, device_id, verb, params, issued_at, expires_at), protocol
            )
            for (
                command_id,
                _,
                device_id,
                protocol,
                verb,
                params,
                issued_at,
                expires_at,
            ) in await cursor.fetchall()
        ]

    async def mark(self, command_ids: Sequence[UUID]) -> None:
        """Remember that the queues have accepted them."""
        await self._connection.execute(_SQL["mark_relayed"], {"command_ids": list(command_ids)})


def _issued(row: Sequence[Any]) -> IssuedCommand:
    (command_id, position, device_id, protocol, verb, params, state, detail, issued_by) = row[:9]
    issued_at, expires_at, *times = row[9:]
    return IssuedCommand(
        _command(command_id, device_id, verb, params, issued_at, expires_at),
        position,
        protocol,
        CommandState(state),
        detail,
        issued_by,
        *times,
    )


def _command(  # noqa: PLR0913, PLR0917 - one argument a column
    command_id: UUID,
    device_id: str,
    verb: str,
    params: Mapping[str, Any],
    issued_at: datetime,
    expires_at: datetime,
) -> Command:
    return Command(
        command_id, device_id, Verb(verb), params, issued_at=issued_at, expires_at=expires_at
    )
