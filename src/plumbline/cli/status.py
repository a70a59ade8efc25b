"""`plumbline status`: the whole system on one screen."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from plumbline import bootstrap
from plumbline.cli.output import age, print_json, print_table
from plumbline.cli.system import data_dir_option, json_option, require_running
from plumbline.errors import PlumblineError
from plumbline.local.broker_journal import BrokerJournal, read_journal
from plumbline.local.broker_log import BrokerRefusals, read_refusals
from plumbline.local.endpoints import Endpoints
from plumbline.local.function_status import FunctionStatus, read_all
from plumbline.local.reachable import broker_answers, cache_answers, portal_answers
from plumbline.topology import TOPOLOGY


@click.command()
@data_dir_option
@json_option
@click.pass_context
def status(ctx: click.Context, data_dir: Path, *, as_json: bool) -> None:
    """Show servers, functions, queues, devices and the ledger; exit 1 where something is wrong."""
    endpoints = require_running(data_dir)
    servers = {
        "broker": broker_answers(endpoints.mqtt_url),
        "cache": cache_answers(endpoints.redis_url),
        "portal": portal_answers(endpoints.portal_url),
    }
    functions = read_all(data_dir / "run" / "functions")
    refusals = read_refusals(data_dir / "logs" / "mosquitto.log")
    try:
        stored = _stored(endpoints)
        servers["database"] = True
    except PlumblineError:
        stored = None
        servers["database"] = False
    journal = read_journal(data_dir)
    healthy = (
        all(servers.values())
        and stored is not None
        and stored["ledger"]["balanced"]
        and (journal is None or journal.problem is None)
        and refusals.journal is None
    )
    if as_json:
        print_json(
            {
                "healthy": healthy,
                "pid": endpoints.pid,
                "servers": servers,
                "functions": [asdict(one) for one in functions],
                "broker_journal": journal and asdict(journal),
                "broker_refusals": asdict(refusals),
                **(stored or {}),
            }
        )
    else:
        _print(endpoints, servers, functions, stored)
        _print_journal(journal, refusals)
        _print_refusals(refusals)
    ctx.exit(0 if healthy else 1)


def _stored(endpoints: Endpoints) -> dict[str, Any]:
    url = endpoints.database_url
    queues = []
    for spec in TOPOLOGY.queues:
        depth = bootstrap.local_queue(url, spec.name).depth()
        dead = bootstrap.local_queue(url, spec.dead_letter_queue).depth()
        queues.append(
            {
                "queue": spec.name,
                "visible": depth.visible,
                "in_flight": depth.in_flight,
                "oldest_age_s": depth.oldest_age_s,
                "dead_letters": dead.visible + dead.in_flight,
            }
        )
    account = bootstrap.ledger(url).account()
    fleet = bootstrap.statuses(url).fleet_statistics(datetime.now(UTC))
    return {
        "queues": queues,
        "devices": {
            "reporting": fleet.devices,
            "by_status": dict(fleet.by_status),
            "readings_last_hour": fleet.readings_last_hour,
            "stalest": fleet.stalest_device_id,
            "stalest_last_seen": fleet.stalest_last_seen,
        },
        "ledger": {
            "balanced": account.balanced,
            "received": account.total.received,
            "stored": account.total.stored,
            "in_flight": account.total.in_flight,
            "quarantined": account.total.quarantined,
            "dead_lettered": account.total.dead_lettered,
        },
    }


def _print(
    endpoints: Endpoints,
    servers: dict[str, bool],
    functions: list[FunctionStatus],
    stored: dict[str, Any] | None,
) -> None:
    states = "   ".join(
        f"{name} {click.style('up', fg='green') if up else click.style('DOWN', fg='red')}"
        for name, up in sorted(servers.items())
    )
    click.echo(f"{states}   (plumbline up is process {endpoints.pid})\n")
    print_table(
        ["function", "last run", "took", "runs", "errors", "last error"],
        [
            (
                one.function,
                age(_age_s(one.last_ended)),
                age(one.last_duration_s),
                f"{one.invocations:,}",
                f"{one.errors:,}",
                one.last_error and f"{one.last_error[:60]} ({age(_age_s(one.last_error_at))} ago)",
            )
            for one in functions
        ],
    )
    click.echo()
    if stored is None:
        click.echo("the database does not answer: no more is known")
        return
    print_table(
        ["queue", "waiting", "in flight", "oldest", "dead letters"],
        [
            (
                queue["queue"],
                f"{queue['visible']:,}",
                f"{queue['in_flight']:,}",
                age(queue["oldest_age_s"]),
                f"{queue['dead_letters']:,}",
            )
            for queue in stored["queues"]
        ],
    )
    devices, ledger = stored["devices"], stored["ledger"]
    by_status = ", ".join(f"{n:,} {name}" for name, n in sorted(devices["by_status"].items()))
    click.echo(f"\ndevices   {devices['reporting']:,} report: {by_status or 'none yet'}")
    click.echo(f"readings  {devices['readings_last_hour']:,} in the last hour")
    if devices["stalest"] is not None:
        silent_s = (datetime.now(UTC) - devices["stalest_last_seen"]).total_seconds()
        click.echo(f"stalest   {devices['stalest']}, {age(silent_s)} ago")
    verdict = "balanced" if ledger["balanced"] else click.style("NOT BALANCED", fg="red")
    click.echo(
        f"ledger    {verdict}: {ledger['received']:,} received, {ledger['stored']:,} stored, "
        f"{ledger['in_flight']:,} in flight, {ledger['quarantined']:,} quarantined, "
        f"{ledger['dead_lettered']:,} dead-lettered"
    )


def _print_journal(journal: BrokerJournal | None, refusals: BrokerRefusals) -> None:
    if journal is None:
        return
    if refusals.journal is not None:
        click.echo(f"journal   {click.style('REFUSES READINGS', fg='red')}: {refusals.journal}")
    elif journal.mode == "off":
        why = journal.problem or "as asked for"
        click.echo(
            f"journal   {click.style('OFF', fg='red')}: a crash of the broker loses up to two"
            f" seconds of acknowledged readings ({why})"
        )
    else:
        click.echo(f"journal   acknowledged readings are {journal.mode} first")


def _print_refusals(refusals: BrokerRefusals) -> None:
    if refusals.sign_ins:
        click.echo(f"refused   {refusals.sign_ins:,} connections with a wrong user or password")
    for device_id, count in refusals.cut_off.items():
        click.echo(f"cut off   {device_id}, {count:,} times: a topic that it may not use?")


def _age_s(moment: str | None) -> float | None:
    if moment is None:
        return None
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
