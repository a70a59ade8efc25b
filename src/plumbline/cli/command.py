"""`plumbline command`: tell devices something, and see what became of it."""

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click

from plumbline import bootstrap
from plumbline.application.issue_command import CommandRequest, Commands
from plumbline.cli.duration import Duration
from plumbline.cli.output import message, print_json, print_table
from plumbline.cli.system import data_dir_option, database_url, json_option
from plumbline.codecs.issued_command_json import members
from plumbline.domain.audit import AuditEntry
from plumbline.domain.command import MIN_LIFE_S, CommandState, Verb
from plumbline.domain.device import Protocol
from plumbline.domain.issued_command import IssuedCommand

_LOOK_EVERY_S = 0.2
_ID = click.argument("command_id", metavar="ID", type=click.UUID)

_T = TypeVar("_T")


@click.group()
def command() -> None:
    """Commands to devices; of each device one is on its way, the others wait for its end."""


@command.command()
@click.argument("device_id", metavar="DEVICE")
@click.argument("name", type=click.Choice([verb.value for verb in Verb]))
@click.option(
    "--param",
    "params",
    metavar="K=V",
    multiple=True,
    help="A parameter, such as interval_s=300; may be repeated.",
)
@click.option(
    "--protocol",
    type=click.Choice([protocol.value for protocol in Protocol]),
    help="Refuse a device that is reached in another way.",
)
@click.option(
    "--expires-in",
    "expires_in_s",
    type=Duration(MIN_LIFE_S),
    help="How long it waits for the device; by default a day, or two uplinks of a LoRaWAN device.",
)
@click.option("--wait", is_flag=True, help="Wait for its end; exit 1 where that is no success.")
@data_dir_option
@json_option
@click.pass_context
def send(  # noqa: PLR0913 - one parameter an option
    ctx: click.Context,
    *,
    device_id: str,
    name: str,
    params: tuple[str, ...],
    protocol: str | None,
    expires_in_s: float | None,
    wait: bool,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Send NAME to DEVICE."""
    request = CommandRequest(
        device_id,
        Verb(name),
        dict(_param(one) for one in params),
        None if expires_in_s is None else int(expires_in_s),
        None if protocol is None else Protocol(protocol),
    )
    issued = _with_commands(
        data_dir, lambda commands: commands.issue(request, _issuer(), _audit_entry)
    )
    if wait:
        issued = _wait(data_dir, issued)
    _print(issued, as_json=as_json)
    ctx.exit(1 if wait and issued.has_failed else 0)


@command.command("list")
@click.argument("device_id", metavar="[DEVICE]", required=False)
@click.option(
    "--state",
    type=click.Choice([state.value for state in CommandState]),
    help="Only in this state.",
)
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many."
)
@data_dir_option
@json_option
def list_(
    device_id: str | None, state: str | None, limit: int, data_dir: Path, *, as_json: bool
) -> None:
    """Print the commands of DEVICE or of all, newest first."""
    wanted = None if state is None else CommandState(state)
    found = _with_commands(
        data_dir, lambda commands: commands.newest(device_id, state=wanted, limit=limit)
    )
    if as_json:
        print_json([members(issued) for issued in found])
        return
    print_table(
        ["id", "device", "command", "params", "state", "issued", "detail"],
        [
            (
                one.command.command_id,
                one.command.device_id,
                one.command.verb.value,
                " ".join(f"{name}={value}" for name, value in one.command.params.items()),
                one.state.value,
                one.command.issued_at.replace(microsecond=0),
                one.detail[:60],
            )
            for one in found
        ],
    )


@command.command()
@_ID
@data_dir_option
@json_option
def show(command_id: UUID, data_dir: Path, *, as_json: bool) -> None:
    """Print one command."""
    _print(_with_commands(data_dir, lambda c: c.get(command_id)), as_json=as_json)


@command.command()
@_ID
@data_dir_option
@json_option
def cancel(command_id: UUID, data_dir: Path, *, as_json: bool) -> None:
    """Take a command back that waits; exit 1 where it is on its way or at its end."""
    issued = _with_commands(data_dir, lambda commands: commands.cancel(command_id, _audit_entry))
    _print(issued, as_json=as_json)


def _with_commands(data_dir: Path, work: Callable[[Commands], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        async with bootstrap.commands(database_url(data_dir)) as commands:
            return await work(commands)

    return asyncio.run(run())


def _wait(data_dir: Path, issued: IssuedCommand) -> IssuedCommand:
    """Wait for the command's end; it expires at the latest."""
    command_id = issued.command.command_id

    async def until_ended(commands: Commands) -> IssuedCommand:
        told = ""
        while True:
            found = await commands.get(command_id)
            if found.ended_at is not None:
                return found
            now = f"{found.state.value}{': ' if found.detail else ''}{found.detail}"
            if now != told:
                message(now)
                told = now
            await asyncio.sleep(_LOOK_EVERY_S)

    try:
        return _with_commands(data_dir, until_ended)
    except KeyboardInterrupt:
        message(f"the command goes on: plumbline command show {command_id}")
        raise


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        msg = f"--param {text}: NAME=VALUE, such as interval_s=300"
        raise click.UsageError(msg)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # a word


def _issuer() -> str:
    return f"cli:{getpass.getuser()}"


def _audit_entry(action: str, target: str, detail: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(_issuer(), "cli", action, target, detail)


def _print(issued: IssuedCommand, *, as_json: bool) -> None:
    if as_json:
        print_json(members(issued))
        return
    shown = members(issued).items()
    print_table(
        ["field", "value"], [pair for pair in shown if pair[1] is not None and pair[1] != ""]
    )
