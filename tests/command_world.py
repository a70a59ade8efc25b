"""Commands in a database and what is heard of them, for tests."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from plumbline.domain.command import Command, Verb
from plumbline.domain.command_event import Arrival, CommandEvent, CommandEventKind, Sender
from plumbline.domain.delivery import delivery_id
from plumbline.domain.device import Lorawan, NetworkServer
from store_world import NOON, Batch

CHIRPSTACK = Lorawan(
    dev_eui="24e124713c140001",
    network_server=NetworkServer.CHIRPSTACK,
    application="52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
    sensor_model="milesight-em310-tilt",
    uplink_interval_s=3600,
)
THINGS_STACK = Lorawan(
    dev_eui="24e124713c140002",
    network_server=NetworkServer.THINGS_STACK,
    application="walls",
    tenant="ttn",
    network_device_id="wall-7",
    sensor_model="milesight-em310-tilt",
)


def command(
    device_id: str = "tower",
    verb: Verb = Verb.REBOOT,
    *,
    life_s: float = 3600,
    issued_at: datetime | None = None,
    **params: Any,  # noqa: ANN401 - of any verb
) -> Command:
    """Make a command, issued now where a test does not care."""
    issued_at = datetime.now(UTC) if issued_at is None else issued_at
    expires_at = issued_at + timedelta(seconds=life_s)
    return Command(uuid4(), device_id, verb, params, issued_at=issued_at, expires_at=expires_at)


def add_device(
    connection: psycopg.Connection[Any], device_id: str, lorawan: Lorawan | None = None
) -> None:
    """Register a device: of MQTT, or of LoRaWAN where it is said how it is known."""
    values = {
        "device_id": device_id,
        "protocol": "mqtt" if lorawan is None else "lorawan",
        **({} if lorawan is None else asdict(lorawan)),
    }
    connection.execute(
        sql.SQL("INSERT INTO devices ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Placeholder, values)),
        ),
        values,
    )


def add_command(
    connection: psycopg.Connection[Any], command: Command, *, attempts: int = 0
) -> Command:
    """Store a command, and put it into its queue so many times."""
    connection.execute(
        "INSERT INTO commands (command_id, device_id, protocol, command, params, issued_by,"
        " request_hash, issued_at, expires_at, attempts, relayed_at)"
        " VALUES (%s, %s, coalesce((SELECT protocol FROM devices WHERE device_id = %s), 'mqtt'),"
        " %s, %s, 'test', '', %s, %s, %s, CASE WHEN %s > 0 THEN now() END)",
        (
            command.command_id,
            command.device_id,
            command.device_id,
            command.verb,
            json.dumps(dict(command.params)),
            command.issued_at,
            command.expires_at,
            attempts,
            attempts,
        ),
    )
    return command


def handler_event(  # noqa: PLR0913 - each is one part of an event, most by keyword
    command: Command,
    kind: CommandEventKind,
    attempt: int = 1,
    *,
    second: int = 0,
    confirmed: bool = True,
    detail: str = "",
) -> CommandEvent:
    """Make an event of the function that sends."""
    return CommandEvent(
        command.command_id,
        command.device_id,
        kind,
        NOON + timedelta(seconds=second),
        attempt,
        detail,
        confirmed,
    )


def answer(  # noqa: PLR0913 - each is one part of an answer, most by keyword
    batch: Batch,
    index: int,
    command: Command,
    kind: CommandEventKind = CommandEventKind.ACKNOWLEDGED,
    *,
    device_id: str | None = None,
    sender: Sender | None = None,
    detail: str = "",
    second: int = 0,
) -> CommandEvent:
    """Make an answer, the delivery ``index`` of a batch."""
    device_id = command.device_id if device_id is None else device_id
    members = {"command_id": str(command.command_id), "status": kind.value, "detail": detail}
    return CommandEvent(
        command.command_id,
        device_id,
        kind,
        NOON + timedelta(seconds=second),
        detail=detail,
        arrival=Arrival(
            delivery_id(batch.batch_id, index),
            f"tilt/{device_id}/commands/ack",
            json.dumps(members).encode(),
            NOON,
            sender,
        ),
    )


def row_of(connection: psycopg.Connection[Any], command_id: UUID) -> dict[str, Any]:
    """Return a command's row."""
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        cursor.execute("SELECT * FROM commands WHERE command_id = %s", (command_id,))
        row = cursor.fetchone()
    assert row is not None
    return row
