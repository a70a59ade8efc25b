"""`plumbline simulate` and `plumbline verify`: devices with a known truth."""

from pathlib import Path
from typing import Any

import click

from plumbline.cli.duration import Duration
from plumbline.cli.output import print_json
from plumbline.cli.system import data_dir_option, database_url, json_option, require_running
from plumbline.local import network_servers
from plumbline.local.device_credentials import devices_of
from plumbline.simulator.config import LorawanPart, SimulationConfig
from plumbline.simulator.faults import Faults
from plumbline.simulator.lorawan.roster import roster
from plumbline.simulator.scenarios import MIXED, SCENARIO_NAMES

_FRACTION = click.FloatRange(0.0, 1.0)


@click.command()
@click.option(
    "--devices",
    default=20,
    show_default=True,
    type=click.IntRange(0, 100_000),
    help="How many MQTT devices, each with a connection of its own.",
)
@click.option(
    "--lorawan",
    "lorawan_devices",
    default=0,
    show_default=True,
    type=click.IntRange(0, 100_000),
    help="How many LoRaWAN devices, at a ChirpStack and a Things Stack.",
)
@click.option(
    "--interval",
    default="5s",
    show_default=True,
    type=Duration(0.002),
    help="Between two readings of a device.",
)
@click.option("--duration", type=Duration(0.1), help="How long; else until stopped.")
@click.option("--count", type=click.IntRange(1), help="Readings of all devices together.")
@click.option("--at-once", is_flag=True, help="As fast as possible; needs --count.")
@click.option(
    "--scenario",
    default=MIXED,
    show_default=True,
    type=click.Choice(list(SCENARIO_NAMES)),
    help="How the structures move.",
)
@click.option("--seed", default=1, show_default=True, help="Same seed, same truth and faults.")
@click.option(
    "--prefix",
    default="sim",
    show_default=True,
    help="Device ids are PREFIX-0001 … and PREFIX-lw-0001 …",
)
@click.option(
    "--truth",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the truth there, for `plumbline verify`.",
)
@click.option("--duplicates", default=0.0, type=_FRACTION, help="Fraction published twice.")
@click.option("--late", default=0.0, type=_FRACTION, help="Fraction held back for long.")
@click.option("--out-of-order", default=0.0, type=_FRACTION, help="Fraction held back shortly.")
@click.option("--malformed", default=0.0, type=_FRACTION, help="Fraction followed by garbage.")
@click.option("--disconnects", default=0.0, type=_FRACTION, help="Fraction that cuts the line.")
@click.option("--lost-downlinks", default=0.0, type=_FRACTION, help="Fraction that is not heard.")
@data_dir_option
def simulate(  # noqa: PLR0913 - one parameter an option
    *,
    devices: int,
    lorawan_devices: int,
    interval: float,
    duration: float | None,
    count: int | None,
    at_once: bool,
    scenario: str,
    seed: int,
    prefix: str,
    truth: Path | None,
    data_dir: Path,
    **faults: float,
) -> None:
    """Register simulated devices and let them publish to the running system."""
    from plumbline.simulator.fleet import run_simulation  # noqa: PLC0415 - loads the MQTT client

    endpoints = require_running(data_dir)
    config = SimulationConfig(
        url=endpoints.mqtt_url,
        scenario=scenario,
        seed=seed,
        interval_s=interval,
        count=count,
        duration_s=duration,
        at_once=at_once,
        faults=Faults(**faults),
    )
    registry = devices_of(data_dir, database_url(data_dir))
    entries = roster(_ids(f"{prefix}-lw", lorawan_devices), interval)
    registry.add_lorawan(entries, replace=True)
    passwords = registry.add_many(_ids(prefix, devices), rotate=True)
    run_simulation(
        config,
        {new.username: new.password for new in passwords},
        truth,
        lorawan=LorawanPart(entries, network_servers.users(data_dir) if entries else {}),
    )


def _ids(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number:04d}" for number in range(1, count + 1)]


@click.command()
@click.option(
    "--truth",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="As `plumbline simulate` wrote it.",
)
@data_dir_option
@json_option
@click.pass_context
def verify(ctx: click.Context, truth: Path, data_dir: Path, *, as_json: bool) -> None:
    """Compare the truth with the database, exactly; exit 1 where they differ."""
    from plumbline.simulator.verify import verify as compare  # noqa: PLC0415 - loads psycopg

    report = compare(truth, database_url(data_dir))
    if as_json:
        data: dict[str, Any] = report.as_dict()
        print_json(data)
    else:
        click.echo(str(report))
    ctx.exit(0 if report.ok else 1)
