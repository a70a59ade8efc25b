"""`./prove`: each proof is a command; exit status 0 only where it holds."""

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from proofs.chaos.plan import PROCESSES
from proofs.chaos.run import ENDS, Scale, run_chaos
from proofs.planted import BUGS
from proofs.simulation.run import HOURS_A_LIFE, LifeReport, Report, live, simulate
from proofs.simulation.world import Life


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one proof; return the exit status."""
    parser = argparse.ArgumentParser(prog="./prove", description=__doc__)
    proofs = parser.add_subparsers(required=True, metavar="PROOF")
    _add_chaos(proofs)
    _add_simulation(proofs)
    options = parser.parse_args(arguments)
    status: int = options.prove(options)
    return status


def _add_chaos(proofs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    summary = "the whole system, killed and cut off at random moments; every message accounted for"
    chaos = proofs.add_parser("chaos", help=summary, description=summary)
    chaos.add_argument("--devices", type=int, default=200, help="that publish (default 200)")
    chaos.add_argument("--messages", type=int, default=50_000, help="of them (default 50,000)")
    chaos.add_argument("--kills", type=int, default=50, help="SIGKILLs (default 50)")
    chaos.add_argument("--seed", help="of the faults (default: a new one)")
    chaos.add_argument(
        "--spare", action="append", choices=PROCESSES, default=[], help="leave this part alone"
    )
    chaos.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave data and logs there")
    chaos.set_defaults(prove=_chaos)


def _chaos(options: argparse.Namespace) -> int:
    seed = options.seed or secrets.token_hex(4)
    parts = tuple(part for part in PROCESSES if part not in options.spare)
    scale = Scale(options.devices, options.messages, options.kills, seed, parts)
    print(f"seed {seed}: {scale.messages:,} messages of {scale.devices:,} devices", flush=True)
    report = run_chaos(scale, lambda line: print(line, flush=True), options.keep)
    account = report.account
    truths = report.truths
    print(f"\nwitness: {sum(t.acknowledged for t in truths):,} messages acknowledged, of these")
    print(f"  {sum(t.malformed for t in truths):,} malformed on purpose")
    print(f"broker handed over {account['messages']:,} messages with {account['received']:,} items")
    for name in ENDS:
        print(f"  {name.replace('_', ' '):14}{account[name]:>10,}")
    print(f"{report.commands:,} commands; {report.struck.total():,} faults:")
    for what, count in sorted(report.struck.items()):
        print(f"  {count:>4}  {what}")
    for line in report.wrong[:30]:
        print(f"WRONG: {line}")
    verdict = f"{len(report.wrong):,} things are WRONG" if report.wrong else "all accounted for"
    print(f"{verdict}; {report.seconds:.0f} s; again with --seed {seed}")
    return 1 if report.wrong else 0


def _add_simulation(proofs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
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
    simulation.set_defaults(prove=_simulation)


def _simulation(options: argparse.Namespace) -> int:
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
        f"faults {report.faults.total():,}:"
    )
    for what, count in sorted(report.faults.items()):
        print(f"{count:>9,}  {what}")
    if report.failed is None:
        print("nothing lost, doubled, overtaken or stale; the account balanced at every hour")
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


if __name__ == "__main__":
    sys.exit(main())
