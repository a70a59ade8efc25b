"""`plumbline`: finds the sub-command, runs it, translates errors to exit codes."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click

from plumbline.errors import EXIT_CODES, PlumblineError, of_type

_COMMANDS = {
    "up": ("plumbline.cli.up", "up"),
    "status": ("plumbline.cli.status", "status"),
    "trigger": ("plumbline.cli.trigger", "trigger"),
    "simulate": ("plumbline.cli.simulate", "simulate"),
    "verify": ("plumbline.cli.simulate", "verify"),
    "ledger": ("plumbline.cli.ledger", "ledger"),
    "decode": ("plumbline.cli.decode", "decode"),
    "device": ("plumbline.cli.device", "device"),
    "command": ("plumbline.cli.command", "command"),
    "network-server": ("plumbline.cli.network_server", "network_server"),
    "quarantine": ("plumbline.cli.quarantine", "quarantine"),
    "dlq": ("plumbline.cli.dlq", "dlq"),
    "user": ("plumbline.cli.accounts", "user"),
    "token": ("plumbline.cli.accounts", "token"),
    "db": ("plumbline.cli.db", "db"),
    "package": ("plumbline.cli.package", "package"),
    "cost": ("plumbline.cli.cost", "cost"),
    "settings": ("plumbline.cli.settings", "settings"),
}


class _Commands(click.Group):
    """Imports a sub-command only when it is called or its help is shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the named command; with `--function` the one that sends it there, whole."""
        if ctx.params.get("function") is not None:
            from plumbline.cli.remote import remote  # noqa: PLC0415 - loads boto3

            return "remote", remote, args
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="PLUMBLINE_DATA_DIR",
    default=Path(".plumbline"),
    show_default=True,
    help="Where the system on this machine keeps everything.",
)
@click.option(
    "--function",
    envvar="PLUMBLINE_FUNCTION",
    metavar="NAME",
    help="Have this Lambda function, `operate` of a deployment, run the command.",
)
@click.version_option(package_name="plumbline")
@click.pass_context
def cli(ctx: click.Context, data_dir: Path, function: str | None) -> None:  # noqa: ARG001 - see resolve_command
    """Watch tilt sensors: take their readings, lose none, and prove it."""
    ctx.obj = data_dir


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: In the place of the process's own.

    Returns:
        0 ok, 1 a check failed, 2 usage or configuration.
    """
    try:
        code = cli(None if arguments is None else list(arguments), standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except PlumblineError as error:
        click.echo(f"plumbline: {error}", err=True)
        return of_type(EXIT_CODES, error)
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run())
