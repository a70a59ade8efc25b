"""Writes docs/reference/commands.md and settings.md from the code; a test holds them against it."""

from collections.abc import Iterator
from pathlib import Path

import click

from plumbline.cli.main import cli
from plumbline.settings import describe

_REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
_ONCE = {"--data-dir", "--json", "--help"}
_PLACEHOLDERS = {
    "integer": "N",
    "integer range": "N",
    "float range": "FRACTION",
    "duration": "DUR",
    "file": "FILE",
}

_COMMANDS_INTRODUCTION = """\
# Commands

Every sub-command takes `--data-dir DIR` (else `$PLUMBLINE_DATA_DIR`, else `./.plumbline`) and
finds the running system there; `DATABASE_URL` overrides where the data is. Data goes to standard
output, messages to standard error; `--json` prints JSON where there is data. Durations are
`500ms`, `5s`, `5m`, `24h`, `90d`.

Exit status: 0 ok; 1 a check failed, or the system cannot do it now; 2 usage or configuration, one
line that names the setting.
"""

_SETTINGS_INTRODUCTION = """\
# Settings

Every entry point reads its settings from the environment, once, when it starts; a missing or wrong
one is named. `plumbline up` sets them for its processes; they are for AWS and for servers of your
own. `plumbline settings` prints this table.

| entry point | setting | default | meaning |
| --- | --- | --- | --- |
"""


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        elif command is not None:
            yield f"{path} {name}", command


def _section(path: str, command: click.Command) -> str:
    lines = [f"### `{path}`", ""]
    arguments = [a for a in command.params if isinstance(a, click.Argument)]
    if arguments:
        names = [(a.metavar or str(a.name).upper()) + "…" * (a.nargs == -1) for a in arguments]
        lines += [f"`{path} {' '.join(names)}`", ""]
    lines += [" ".join((command.help or "").split()), ""]
    options = [
        o
        for o in command.params
        if isinstance(o, click.Option) and max(o.opts, key=len) not in _ONCE
    ]
    if options:
        lines += ["| option | meaning |", "| --- | --- |", *map(_row, options), ""]
    return "\n".join(lines)


def _row(option: click.Option) -> str:
    text = " ".join((option.help or "").split())
    if option.show_default and not option.is_flag:
        text += f" Default `{option.default}`."
    return f"| `{max(option.opts, key=len)}{_placeholder(option)}` | {text} |"


def _placeholder(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return " " + "\\|".join(map(str, option.type.choices))
    default = str(option.name).removesuffix("_s").rpartition("_")[2].upper()
    return " " + (option.metavar or _PLACEHOLDERS.get(option.type.name, default))


def main() -> None:
    """Write both pages."""
    sections = [_section(path, command) for path, command in _commands(cli, "plumbline")]
    commands = "\n".join([_COMMANDS_INTRODUCTION, *sections]).rstrip() + "\n"
    (_REFERENCE / "commands.md").write_text(commands, "utf-8")
    rows = [f"| {e} | `{s}` | {default} | {meaning} |\n" for e, s, default, meaning in describe()]
    (_REFERENCE / "settings.md").write_text(_SETTINGS_INTRODUCTION + "".join(rows), "utf-8")


if __name__ == "__main__":
    main()
