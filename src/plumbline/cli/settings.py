"""`plumbline settings`: every setting, its default and meaning."""

import click

from plumbline.cli.output import print_json, print_table
from plumbline.cli.system import json_option
from plumbline.settings import describe


@click.command()
@json_option
def settings(*, as_json: bool) -> None:
    """Print every environment setting of every entry point."""
    rows = list(describe())
    if as_json:
        keys = ("entry_point", "setting", "default", "meaning")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print_table(["entry point", "setting", "default", "meaning"], rows)
