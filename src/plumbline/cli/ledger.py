"""`plumbline ledger`: the account of every delivery."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from plumbline import bootstrap
from plumbline.cli.output import print_json, print_table
from plumbline.cli.system import data_dir_option, database_url, json_option
from plumbline.domain.ledger import Balance, LedgerAccount
from plumbline.settings import Secret

_SHOWN_MISMATCHES = 20


@click.command()
@click.option("--device", "device_id", help="Of this device alone.")
@click.option("--devices", "by_device", is_flag=True, help="A line for each device, too.")
@data_dir_option
@json_option
@click.pass_context
def ledger(
    ctx: click.Context, device_id: str | None, data_dir: Path, *, by_device: bool, as_json: bool
) -> None:
    """Account for every delivery that the broker handed over; exit 1 if the sums disagree."""
    url = database_url(data_dir)
    account = bootstrap.ledger(url, _queue_urls()).account(device_id)
    if as_json:
        print_json(_as_dict(account, by_device=by_device))
    else:
        _print(account, by_device=by_device)
    ctx.exit(0 if account.balanced else 1)


def _queue_urls() -> dict[str, Secret | None]:
    """Return the queues that are not in the database, as of a deployment on AWS."""
    names = {"distributing": "DISTRIBUTING_QUEUE_URL", "db1": "DB1_QUEUE_URL"}
    given = {queue: os.environ.get(name) for queue, name in names.items()}
    return {queue: Secret(url) for queue, url in given.items() if url}


def _print(account: LedgerAccount, *, by_device: bool) -> None:
    total = account.total
    ended = total.received - total.in_flight
    click.echo(f"received       {total.received:>14,}   in {account.messages:,} MQTT messages")
    for name in ("stored", "duplicates", "conflicts", "quarantined", "dead_lettered", "discarded"):
        click.echo(f"  {name.replace('_', ' '):<13}{getattr(total, name):>14,}")
    click.echo(f"  {'in flight':<13}{total.in_flight:>14,}")
    if account.approximate:
        click.echo(
            "in flight and dead-lettered: what has no outcome, and about as much is in the queues"
        )
    if account.interrupted_batches:
        click.echo(
            f"{account.interrupted_batches:,} batches without a receipt: under way now, or cut off "
            "before anything was acknowledged (the broker hands those over again)"
        )
    if by_device:
        click.echo()
        headings = [name.replace("_", " ") for name in asdict(Balance())]
        print_table(
            ["device", *headings],
            [
                (device or "(none)", *asdict(balance).values())
                for device, balance in account.devices.items()
            ],
        )
    click.echo()
    if account.balanced:
        click.echo(f"balanced: all {total.received:,} accounted for, {ended:,} of them finally")
        return
    click.echo(f"NOT BALANCED: {len(account.mismatches):,} batches and devices disagree")
    print_table(
        ["batch", "device", "received", "accounted for"],
        [
            (m.batch_id or "(totals)", m.device_id or "(none)", m.received, m.accounted)
            for m in account.mismatches[:_SHOWN_MISMATCHES]
        ],
    )


def _as_dict(account: LedgerAccount, *, by_device: bool) -> dict[str, object]:
    data: dict[str, object] = {
        "balanced": account.balanced,
        "approximate": account.approximate,
        "messages": account.messages,
        "interrupted_batches": account.interrupted_batches,
        **asdict(account.total),
        "mismatches": [asdict(mismatch) for mismatch in account.mismatches],
    }
    if by_device:
        data["devices"] = {device: asdict(b) for device, b in account.devices.items()}
    return data
