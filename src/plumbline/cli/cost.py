"""`plumbline cost`: what the deployment on AWS costs a month, item by item."""

import json
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from plumbline.cli.duration import Duration
from plumbline.cli.output import print_json
from plumbline.cli.system import json_option
from plumbline.deployment.bill import CostItem, monthly_bill, total_usd
from plumbline.deployment.limits import exceeded
from plumbline.deployment.plan_prices import uncovered
from plumbline.deployment.prices import Prices, load_prices, regions
from plumbline.deployment.savings import savings
from plumbline.deployment.sizes import Deployment, deployment_of
from plumbline.deployment.workload import Load
from plumbline.errors import ConfigurationError

_TARGET_USD = (400, 500)  # the design document's
_FLEETS = (1_000, 10_000, 100_000)
_LOAD = Load()
_WHOLE = 10  # quantities from here on are shown without decimals


@click.command()
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=_LOAD.devices,
    show_default=True,
    help="That report.",
)
@click.option(
    "--interval",
    type=Duration(minimum_s=1.0),
    default="30s",
    show_default=True,
    help="Between two readings of a device.",
)
@click.option(
    "--payload-bytes",
    type=click.IntRange(min=1, max=8192),
    default=_LOAD.payload_bytes,
    show_default=True,
    metavar="N",
    help="Of a reading.",
)
@click.option(
    "--users",
    type=click.IntRange(min=0),
    default=_LOAD.users,
    show_default=True,
    metavar="N",
    help="Of the portal on a working day.",
)
@click.option(
    "--region",
    type=click.Choice(regions()),
    default="us-east-1",
    show_default=True,
    help="Whose prices.",
)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="`terraform show -json` of a plan, whose sizes to take instead of the defaults.",
)
@json_option
def cost(  # noqa: PLR0913, PLR0917 - each is an option
    devices: int,
    interval: float,
    payload_bytes: int,
    users: int,
    region: str,
    plan_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print the monthly bill of the AWS deployment at list prices, and what would reduce it."""
    load = Load(devices, interval, payload_bytes, users)
    deployed = Deployment() if plan_file is None else _read_plan(plan_file)
    report = _report(load, deployed, load_prices(region))
    if as_json:
        print_json(report)
    else:
        _print(report, load)


def _read_plan(path: Path) -> Deployment:
    try:
        plan = json.loads(path.read_text("utf-8"))
        missing = uncovered(plan)
        deployed = deployment_of(plan)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        msg = f"--plan {path}: not the JSON of a plan of terraform/: {error}"
        raise ConfigurationError(msg) from error
    if missing:
        msg = f"--plan {path}: no price of {', '.join(missing)}"
        raise ConfigurationError(msg)
    return deployed


def _report(load: Load, deployed: Deployment, prices: Prices) -> dict[str, Any]:
    bill = monthly_bill(load, deployed, prices)
    fleets = sorted({load.devices, *_FLEETS})
    return {
        "region": prices.region,
        "prices_as_of": prices.as_of.isoformat(),
        "sources": dict(prices.sources),
        "load": asdict(load),
        "deployment": asdict(deployed),
        "items": [asdict(item) | {"usd": round(item.usd, 4)} for item in bill],
        "modules": _by_module(bill),
        "total_usd": round(total_usd(bill), 2),
        "target_usd": list(_TARGET_USD),
        "savings": [asdict(saving) for saving in savings(load, deployed, prices)],
        "fleets": [
            {
                "devices": count,
                "total_usd": round(
                    total_usd(monthly_bill(replace(load, devices=count), deployed, prices)), 2
                ),
                "exceeded": list(exceeded(replace(load, devices=count), deployed)),
            }
            for count in fleets
        ],
    }


def _by_module(bill: list[CostItem]) -> dict[str, float]:
    grouped = groupby(bill, key=lambda item: item.module)
    return {module: round(total_usd(list(items)), 2) for module, items in grouped}


def _print(report: dict[str, Any], load: Load) -> None:
    click.echo(
        f"{load.devices:,} devices, a reading of {load.payload_bytes} bytes every"
        f" {load.interval_s:g} s, {load.users} users; {report['region']}, US dollars a month"
    )
    click.echo(
        f"list prices noted by hand {report['prices_as_of']}; no free tier, discount or tax\n"
    )
    for module, subtotal in report["modules"].items():
        click.echo(f"{module:52}{subtotal:>10,.2f}")
        for item in report["items"]:
            if item["module"] == module:
                digits = 0 if item["quantity"] >= _WHOLE else 2
                amount = f"{item['quantity']:,.{digits}f} {item['unit']}"
                click.echo(f"  {item['name']:28}{amount:>20}{item['usd']:>12,.2f}")
    low, high = report["target_usd"]
    total = report["total_usd"]
    verdict = "below" if total < low else "within" if total <= high else "above"
    click.echo(f"\n{'total':52}{total:>10,.2f}   {verdict} the target of {low} to {high}")
    click.echo("\nwould save, each alone")
    for saving in report["savings"]:
        click.echo(f"{saving['usd']:>10,.2f}  {saving['change']}: {saving['price']}")
    click.echo("\nwith more devices")
    for fleet in report["fleets"]:
        click.echo(f"{fleet['devices']:>10,}{fleet['total_usd']:>12,.2f}")
        for line in fleet["exceeded"]:
            click.echo(f"{'':12}{line}")
