"""`plumbline`: finds the sub-command, runs it, translates errors to exit codes."""

import sys
from importlib import import_module
from pathlib import Path

import click

import plumbline
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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="PLUMBLINE_DATA_DIR",
    default=Path(".plumbline"),
    show_default=True,
    help="Where the system on this machine keeps everything.",
)
@click.version_option(plumbline.__version__)
@click.pass_context
def cli(ctx: click.Context, data_dir: Path) -> None:
    """Watch tilt sensors: take their readings, lose none, and prove it."""
    ctx.obj = data_dir


def main() -> None:
    """Run the command line; exit 0 ok, 1 a check failed, 2 usage or configuration."""
    try:
        code = cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except PlumblineError as error:
        click.echo(f"plumbline: {error}", err=True)
        sys.exit(of_type(EXIT_CODES, error))
    sys.exit(code if isinstance(code, int) else 0)
