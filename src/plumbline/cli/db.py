"""`plumbline db`: the schema, and retention."""

from pathlib import Path

import click

from plumbline import bootstrap
from plumbline.adapters.postgres.migrate import migrate as apply_revisions
from plumbline.adapters.postgres.migrate import schema_status
from plumbline.adapters.postgres.privileges import grant_privileges
from plumbline.cli.output import message, print_json
from plumbline.cli.system import data_dir_option, database_url, json_option


@click.group()
def db() -> None:
    """The database's schema and its 90 days of retention."""


@db.command()
@data_dir_option
def migrate(data_dir: Path) -> None:
    """Bring the schema to the newest revision."""
    applied = apply_revisions(database_url(data_dir))
    message(f"applied {', '.join(applied)}" if applied else "the schema is up to date")


@db.command()
@data_dir_option
def grant(data_dir: Path) -> None:
    """Make the roles of the functions, and give each what its work needs and nothing else."""
    message(f"granted {', '.join(grant_privileges(database_url(data_dir)))}")


@db.command()
@data_dir_option
@json_option
@click.pass_context
def status(ctx: click.Context, data_dir: Path, *, as_json: bool) -> None:
    """Tell the schema's revision; exit 1 while revisions are pending."""
    found = schema_status(database_url(data_dir))
    if as_json:
        print_json({"current": found.current, "head": found.head, "pending": list(found.pending)})
    else:
        click.echo(f"current  {found.current or 'none'}")
        click.echo(f"newest   {found.head}")
        click.echo(f"pending  {', '.join(found.pending) or 'none'}")
    ctx.exit(1 if found.pending else 0)


@db.command()
@data_dir_option
@json_option
def prune(data_dir: Path, *, as_json: bool) -> None:
    """Make the partitions of the coming days and drop what is older than 90 days, now."""
    report = bootstrap.retention(database_url(data_dir)).run()
    if as_json:
        print_json(report)
    else:
        for name, count in report.items():
            click.echo(f"{name.replace('_', ' '):28}{count}")
