"""`./prove soak`: its options and what it prints."""

import argparse
import secrets
from pathlib import Path

import click

from plumbline.cli.duration import Duration
from proofs.soak.leaks import LEAKS
from proofs.soak.run import Load, SoakReport, run_soak


def add_soak(proofs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the proof to `./prove`."""
    summary = "hours of the usual load, with everything sampled that could grow"
    soak = proofs.add_parser("soak", help=summary, description=summary)
    soak.add_argument("--hours", type=float, default=4.0, help="of load (default 4)")
    soak.add_argument("--readings", type=int, default=10_000, help="in each --every (10,000)")
    soak.add_argument("--every", type=_seconds, default=300.0, help="default 5m")
    soak.add_argument("--devices", type=int, default=10_000, help="connected (default 10,000)")
    soak.add_argument(
        "--pace", type=float, default=1.0, help="hours of load lived in one (default 1)"
    )
    soak.add_argument(
        "--warm-up", type=float, default=0.25, help="part that is not judged (default 0.25)"
    )
    soak.add_argument(
        "--out", type=Path, default=Path("soak"), help="for samples.csv and plot.svg (soak)"
    )
    soak.add_argument("--seed", help="of commands and requests (default: a new one)")
    soak.add_argument(
        "--planted",
        action="append",
        choices=LEAKS,
        default=[],
        help="with a known leak: it must be noticed; " + ", ".join(LEAKS),
    )
    soak.set_defaults(prove=_prove)


def _seconds(text: str) -> float:
    try:
        return Duration().convert(text, None, None)
    except click.UsageError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def _prove(options: argparse.Namespace) -> int:
    load = Load(
        hours=options.hours,
        readings=options.readings,
        every_s=options.every,
        devices=options.devices,
        seed=options.seed or secrets.token_hex(4),
        pace=options.pace,
        warm_up=options.warm_up,
        leaks=tuple(options.planted),
    )
    print(
        f"seed {load.seed}: {load.hours:g} hours of {load.readings:,} readings every "
        f"{load.every_s:g} s, {load.devices:,} devices, pace {load.pace:g}",
        flush=True,
    )
    report = run_soak(load, options.out, lambda line: print(line, flush=True))
    _print(report, options.out)
    return 1 if report.wrong else 0


def _print(report: SoakReport, out: Path) -> None:
    account, truth = report.account, report.truth
    print(
        f"\n{truth.acknowledged:,} messages acknowledged; {account['received']:,} received = "
        f"{account['stored']:,} stored + {account['duplicates']:,} duplicates + "
        f"{account['conflicts']:,} conflicts + {account['quarantined']:,} quarantined + "
        f"{account['dead_lettered']:,} dead-lettered + {account['discarded']:,} discarded"
    )
    answers = ", ".join(f"{count:,} with {status}" for status, count in report.answers.items())
    print(f"{report.commands:,} commands; requests to the portal: {answers}")
    print(f"\n{'after the warm-up':32}{'first':>10}{'last':>10}{'an hour':>10}{'allowed':>10}")
    for one in report.drifts:
        print(
            f"{one.series:32}{one.first:>10,.1f}{one.last:>10,.1f}{one.per_hour:>+10.2f}"
            f"{one.allowed_per_hour:>10.2f}  {one.unit}{'  EXCEEDED' if one.exceeded else ''}"
        )
    stored_mb = report.samples.series["postgres.database_mb"]
    print(f"database: {stored_mb[0]:,.0f} MB, at the end {stored_mb[-1]:,.0f}")
    print(f"{len(report.samples.elapsed_s):,} samples: {out / 'samples.csv'}, {out / 'plot.svg'}")
    for line in report.wrong[:30]:
        print(f"WRONG: {line}")
    verdict = f"{len(report.wrong)} things are WRONG" if report.wrong else "nothing grows"
    print(f"{verdict}; seed {report.load.seed}")
