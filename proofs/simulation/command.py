"""`./prove simulation`: its options and what it prints."""

import argparse
import secrets
from pathlib import Path

from proofs.planted import BUGS
from proofs.simulation.run import HOURS_A_LIFE, LifeReport, Report, live, simulate
from proofs.simulation.world import Life


def add_simulation(proofs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the proof to `./prove`."""
    summary = "the application in virtual time, with faults from a seed"
    simulation = proofs.add_parser("simulation", help=summary, description=summary)
    simulation.add_argument("--hours", type=float, default=4800.0, help="to live (default 4,800)")
    simulation.add_argument("--seed", help="of everything (default: a new one)")
    simulation.add_argument("--life", help="live this one life again, by the seed that was printed")
    simulation.add_argument("--trace", type=Path, metavar="FILE", help="of that life")
    simulation.add_argument(
        "--planted",
        choices=[*BUGS, "all"],
        help="with one known mistake, or each in turn: it must be noticed",
    )
    simulation.set_defaults(prove=_prove)


def _prove(options: argparse.Namespace) -> int:
    seed = options.seed or secrets.token_hex(4)
    if options.life:
        report = live(Life(options.life, HOURS_A_LIFE), options.planted, options.trace)
        _print_life(report)
        return 1 if report.wrong else 0
    if options.planted:
        bugs = list(BUGS) if options.planted == "all" else [options.planted]
        noticed = [_notices(seed, options.hours, bug) for bug in bugs]
        return 0 if all(noticed) else 1
    found = simulate(seed, options.hours)
    _print(seed, found)
    return 1 if found.failed else 0


def _notices(seed: str, hours: float, bug: str) -> bool:
    found = simulate(seed, hours, bug=bug)
    what = f"{bug:32}{BUGS[bug].what}"
    if found.failed is None:
        print(f"{what}: NOT NOTICED in {found.hours:,.0f} hours, seed {seed}")
        return False
    print(f"{what}: noticed after {found.hours:,.0f} hours: {found.failed.wrong[0]:.120}")
    return True


def _print(seed: str, report: Report) -> None:
    print(
        f"seed {seed}: {report.hours:,.0f} hours of {report.lives:,} lives in "
        f"{report.seconds:.0f} s ({report.hours / report.seconds * 60:,.0f} a minute)\n"
        f"messages that devices have an acknowledgement for: {report.acknowledged:,}\n"
        f"deliveries {report.received:,} = stored {report.stored:,} + duplicates "
        f"{report.duplicates:,} + conflicts {report.conflicts:,} + quarantined "
        f"{report.quarantined:,}\n"
        f"commands {report.commands:,}\n"
        f"faults {report.faults.total():,}:"
    )
    for what, count in sorted(report.faults.items()):
        print(f"{count:>9,}  {what}")
    if report.failed is None:
        print("nothing lost, doubled, overtaken, late or stale; the account balanced at every hour")
    else:
        _print_life(report.failed)


def _print_life(report: LifeReport) -> None:
    print(f"life {report.life.seed}: trace {report.digest}")
    if not report.wrong:
        print("nothing went wrong")
        return
    print(f"{len(report.wrong)} things went WRONG:")
    for line in report.wrong[:20]:
        print(f"  {line}")
    print(f"again: ./prove simulation --life {report.life.seed} --trace FILE")
