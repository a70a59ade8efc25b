"""`plumbline quarantine`: messages that could not become a reading."""

import os
from pathlib import Path
from typing import Any

import click

from plumbline import bootstrap
from plumbline.cli.output import message, print_json, print_table
from plumbline.cli.system import data_dir_option, database_url, json_option
from plumbline.domain.quarantine import QuarantineEntry
from plumbline.domain.reason import Reason
from plumbline.settings import Secret

_IDS = click.argument("ids", nargs=-1, type=int)
_DEVICE = click.option("--device", "device_id", help="Only of this device.")
_REASON = click.option(
    "--reason", type=click.Choice([r.value for r in Reason]), help="Only with this code."
)
_SHOWN_BYTES = 2000


@click.group()
def quarantine() -> None:
    """Refused messages: look at them, read them again, or delete them."""


@quarantine.command("list")
@_DEVICE
@_REASON
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1), help="At most so many."
)
@data_dir_option
@json_option
def list_(
    device_id: str | None, reason: str | None, limit: int, data_dir: Path, *, as_json: bool
) -> None:
    """Print refused messages, newest first."""
    found = bootstrap.quarantine(database_url(data_dir)).entries(
        device_id=device_id, reason=reason, limit=limit
    )
    if as_json:
        print_json([_as_dict(entry) for entry in found])
        return
    print_table(
        ["id", "received", "device", "reason", "detail", "replayed"],
        [
            (e.entry_id, e.received_at, e.device_id, e.reason, e.detail[:60], e.replayed_at)
            for e in found
        ],
    )


@quarantine.command()
@click.argument("entry_id", metavar="ID", type=int)
@data_dir_option
@json_option
def show(entry_id: int, data_dir: Path, *, as_json: bool) -> None:
    """Print one refused message with its bytes."""
    found = bootstrap.quarantine(database_url(data_dir)).message(entry_id)
    if as_json:
        print_json(_as_dict(found.entry) | {"raw_hex": found.raw.hex()})
        return
    print_table(["field", "value"], _as_dict(found.entry).items())
    rest = len(found.raw) - _SHOWN_BYTES
    click.echo(
        f"\n{found.raw[:_SHOWN_BYTES]!r}" + (f" and {rest:,} bytes more" if rest > 0 else "")
    )


@quarantine.command()
@_IDS
@_DEVICE
@_REASON
@data_dir_option
def replay(ids: tuple[int, ...], device_id: str | None, reason: str | None, data_dir: Path) -> None:
    """Read refused messages again: those of IDS, or all that the options name."""
    url = database_url(data_dir)
    chosen = list(ids) or _all(url, device_id, reason)
    if not chosen:
        message("nothing to replay")
        return
    queue_url = os.environ.get("DISTRIBUTING_QUEUE_URL")
    report = bootstrap.replay(url, None if queue_url is None else Secret(queue_url)).run(chosen)
    message(
        f"{report.readings} became readings, {report.events} events of their device, "
        f"{report.answers} answers to commands, "
        f"{report.refused} were refused again, "
        f"{report.skipped} were replayed before or are not complete"
    )


@quarantine.command()
@_IDS
@_DEVICE
@_REASON
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_dir_option
def purge(
    ids: tuple[int, ...], device_id: str | None, reason: str | None, data_dir: Path, *, yes: bool
) -> None:
    """Delete refused messages for good: those of IDS, or all that the options name."""
    if not yes:
        click.confirm("Delete the messages for good?", abort=True, err=True)
    deleted = bootstrap.quarantine(database_url(data_dir)).purge(
        list(ids) or None, device_id=device_id, reason=reason
    )
    message(f"{deleted} messages deleted")


def _all(url: str, device_id: str | None, reason: str | None) -> list[int]:
    entries = bootstrap.quarantine(url).entries(device_id=device_id, reason=reason, limit=1_000_000)
    return [entry.entry_id for entry in entries if entry.replayed_at is None]


def _as_dict(entry: QuarantineEntry) -> dict[str, Any]:
    return {
        "id": entry.entry_id,
        "device_id": entry.device_id,
        "topic": entry.topic,
        "reason": entry.reason,
        "detail": entry.detail,
        "item": entry.item,
        "received_at": entry.received_at,
        "replayed_at": entry.replayed_at,
        "complete": entry.complete,
    }
