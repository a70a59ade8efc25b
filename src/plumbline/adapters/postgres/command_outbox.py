"""Commands on their way into their queues, on PostgreSQL."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg

from plumbline.adapters.postgres.commands import command_of, lorawan_of
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queries import load
from plumbline.domain.command import CommandState
from plumbline.domain.device import Protocol
from plumbline.domain.issued_command import DueCommand

_SQL = load("command_outbox.sql")

_AT_ONCE = 500


class PostgresCommandOutbox:
    """See ``relay_commands.CommandOutbox``; for one thread.

    Args:
        database: Raises StoreUnavailable.
        grace_s: How long an answer may be under way after a command's end.
    """

    def __init__(self, database: Database, grace_s: float) -> None:
        self._database = database
        self._grace_s = grace_s
        self._listening: psycopg.Connection | None = None

    @contextmanager
    def turn(self) -> Iterator["PostgresCommandTurn | None"]:
        """Open one turn, in one transaction; None while another process has its own."""
        with self._database.connection() as connection, connection.transaction():
            row = connection.execute(_SQL["lock"]).fetchone()
            mine = row is not None and bool(row[0])
            yield PostgresCommandTurn(connection, self._grace_s) if mine else None

    def listen(self) -> None:
        """Hear of commands from now on, and forget what was heard until now."""
        with self._database.connection() as connection:
            if connection is not self._listening:
                connection.execute(_SQL["listen"])
                self._listening = connection
            _hear(connection, 0.0)

    def wait(self, timeout_s: float) -> bool:
        """Wait until something is heard of commands; False when the time is up."""
        with self._database.connection() as connection:
            return _hear(connection, timeout_s)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


class PostgresCommandTurn:
    """See ``relay_commands.CommandTurn``; lives as long as its transaction."""

    def __init__(self, connection: psycopg.Connection, grace_s: float) -> None:
        self._connection = connection
        self._grace_s = grace_s

    def due(self) -> list[DueCommand]:
        """Return the first that something is to be done with, by position; nobody cancels them."""
        rows = self._connection.execute(
            _SQL["due"], {"grace_s": self._grace_s, "limit": _AT_ONCE}
        ).fetchall()
        return [_due(row) for row in rows]

    def expire(self, details: Mapping[UUID, str]) -> None:
        """End commands, each with a line for people."""
        values = {"command_ids": list(details), "details": list(details.values())}
        self._connection.execute(_SQL["expire"], values)

    def mark_withdrawn(self, command_ids: Sequence[UUID]) -> None:
        """Remember that the queue has accepted their withdrawals."""
        self._connection.execute(_SQL["mark_withdrawn"], {"command_ids": list(command_ids)})

    def mark_relayed(self, command_ids: Sequence[UUID]) -> None:
        """Remember that the queues have accepted them."""
        self._connection.execute(_SQL["mark_relayed"], {"command_ids": list(command_ids)})

    def next_due_s(self) -> float | None:
        """Return in how many seconds something becomes due by the clock; None for never."""
        row = self._connection.execute(_SQL["next_due"], {"grace_s": self._grace_s}).fetchone()
        return None if row is None else row[0]


def _hear(connection: psycopg.Connection, timeout_s: float) -> bool:
    heard = False
    for _ in connection.notifies(timeout=timeout_s, stop_after=1 if timeout_s else None):
        heard = True
    return heard


def _due(row: Sequence[Any]) -> DueCommand:
    command_id, device_id, protocol, verb, params, issued_at, expires_at = row[:7]
    attempts, state, dev_eui, network_server, application, tenant = row[7:13]
    network_device_id, sensor_model, expires, withdraws, relays = row[13:]
    return DueCommand(
        command_of(command_id, device_id, verb, params, issued_at, expires_at),
        Protocol(protocol),
        CommandState(state),
        attempts + 1,
        lorawan_of(dev_eui, network_server, application, tenant, network_device_id, sensor_model),
        expires,
        withdraws,
        relays,
    )
