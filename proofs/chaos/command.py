"""`./prove chaos`: its options and what it prints."""

import argparse
import secrets
from pathlib import Path

from proofs.chaos.plan import PROCESSES
from proofs.chaos.run import ENDS, Scale, run_chaos


def add_chaos(proofs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the proof to `./prove`."""
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
    chaos.set_defaults(prove=_prove)


def _prove(options: argparse.Namespace) -> int:
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
