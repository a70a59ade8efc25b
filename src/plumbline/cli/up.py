"""`plumbline up`: the whole system on this machine, in the foreground."""

from pathlib import Path
from typing import Any

import click

from plumbline.cli.duration import Duration
from plumbline.cli.output import message
from plumbline.cli.system import data_dir_option
from plumbline.local.broker_journal import JOURNAL_MODES, read_journal
from plumbline.local.endpoints import Endpoints
from plumbline.local.up import UpOptions, missing_command_settings, run

_PORT = click.IntRange(1, 65_535)


@click.command()
@click.option("--demo", is_flag=True, help="Run 20 simulated devices and 5 LoRaWAN ones, too.")
@data_dir_option
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address of the broker, with TLS."
)
@click.option(
    "--mqtt-host",
    default="127.0.0.1",
    show_default=True,
    help="Address of the broker without TLS: passwords pass in clear.",
)
@click.option(
    "--portal-host", default="127.0.0.1", show_default=True, help="Address of the portal."
)
@click.option(
    "--mqtt-port",
    type=_PORT,
    help="The broker's port without TLS; by default 1883 or a free one, kept.",
)
@click.option(
    "--mqtts-port",
    type=_PORT,
    help="The broker's port with TLS; by default 8883 or a free one, kept.",
)
@click.option(
    "--portal-port", type=_PORT, help="The portal's port; by default 8080 or a free one, kept."
)
@click.option("--postgres-port", type=_PORT, help="PostgreSQL's port; by default a free one, kept.")
@click.option("--redis-port", type=_PORT, help="Redis's port; by default a free one, kept.")
@click.option(
    "--ingest-every",
    "ingest_every_s",
    default="1s",
    show_default=True,
    type=Duration(0.5),
    help="How often the broker is drained.",
)
@click.option(
    "--sync-every",
    "sync_every_s",
    default="5s",
    show_default=True,
    type=Duration(0.5),
    help="How often the cache is refreshed.",
)
@click.option(
    "--journal",
    type=click.Choice(JOURNAL_MODES),
    help="When the broker acknowledges a reading: when the operating system has it (written), when"
    " the disk has it (synced), or when its memory has it (off). By default written; where that"
    " cannot be had, off, which is said.",
)
@click.option("--broker-url", help="Use this broker: mqtts://plumbline-ingest:PASSWORD@HOST:PORT.")
@click.option("--database-url", help="Use this PostgreSQL.")
@click.option("--redis-url", help="Use this Redis.")
def up(**given: Any) -> None:  # noqa: ANN401 - one argument an option
    """Run the whole system until Ctrl-C or SIGTERM, in the foreground."""
    options = UpOptions(**given)
    if missing := missing_command_settings(options):
        message(f"commands are kept, not sent, without {' and '.join(missing)}")
    run(options, lambda endpoints: _announce(options.data_dir, endpoints))


def _announce(data_dir: Path, endpoints: Endpoints) -> None:
    click.echo(f"portal    {endpoints.portal_url}")
    click.echo(f"devices   {endpoints.mqtts_url}   (this machine: {endpoints.mqtt_url})")
    click.echo(f"details   {data_dir / 'endpoints.json'}")
    journal = read_journal(data_dir)
    if journal is not None and journal.problem is not None:
        message(
            "WARNING: a crash of the broker will lose readings that it has acknowledged, up to two"
            f" seconds of them: {journal.problem}"
        )
    message("ready; Ctrl-C stops it. In a second terminal: plumbline status, plumbline ledger")
