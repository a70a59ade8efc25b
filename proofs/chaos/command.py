"""`./prove chaos`: its options and what it prints."""

import argparse
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from proofs.chaos.disks import NoSmallDisks
from proofs.chaos.judge import ENDS, ChaosReport
from proofs.chaos.plan import PARTS
from proofs.chaos.planted import BUGS, Bug
from proofs.chaos.run import Scale, run_chaos

_SHORT = (6000, 8)
"""Messages and kills that a planted mistake must be noticed in."""

_PLANTED_SPARES = ("disks", "clock")
"""No mistake needs them to be noticed."""


def add_chaos(proofs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the proof to `./prove`."""
    summary = "the whole system, killed and cut off at random moments; every message accounted for"
    chaos = proofs.add_parser("chaos", help=summary, description=summary)
    chaos.add_argument("--devices", type=int, default=200, help="that publish (default 200)")
    chaos.add_argument("--messages", type=int, default=50_000, help="of them (default 50,000)")
    chaos.add_argument("--kills", type=int, default=50, help="SIGKILLs (default 50)")
    chaos.add_argument("--seed", help="of the faults (default: a new one)")
    chaos.add_argument(
        "--spare", action="append", choices=PARTS, default=[], help="leave this part alone"
    )
    chaos.add_argument(
        "--keep",
        type=Path,
        metavar="DIRECTORY",
        help="leave logs and truth there, and with --spare disks all data",
    )
    chaos.add_argument(
        "--planted",
        choices=[*BUGS, "all"],
        metavar="NAME",
        help=f"a known mistake, which must be noticed in a short run: {', '.join(BUGS)}, or all",
    )
    chaos.set_defaults(prove=_prove)


def _prove(options: argparse.Namespace) -> int:
    seed = options.seed or secrets.token_hex(4)
    if options.planted:
        bugs = list(BUGS) if options.planted == "all" else [options.planted]
        return _prove_planted(bugs, seed, options.keep)
    parts = tuple(part for part in PARTS if part not in options.spare)
    scale = Scale(options.devices, options.messages, options.kills, seed, parts)
    print(f"seed {seed}: {scale.messages:,} messages of {scale.devices:,} devices", flush=True)
    for part in options.spare:
        print(f"LEFT OUT: {part}", flush=True)
    try:
        report = run_chaos(scale, lambda line: print(line, flush=True), options.keep)
    except NoSmallDisks as reason:
        print(f"no disk can be filled up here: {reason}; leave it out with --spare disks")
        return 1
    _print(report)
    verdict = f"{len(report.wrong):,} things are WRONG" if report.wrong else "all accounted for"
    print(f"{verdict}; {report.seconds:.0f} s; again with --seed {seed}")
    return 1 if report.wrong else 0


def planted_scale(bug: str, seed: str, *, planted: bool) -> Scale:
    """Return the short run in which the mistake must be noticed, or nothing without it."""
    messages, kills = _SHORT
    parts = tuple(part for part in PARTS if part not in _PLANTED_SPARES)
    return Scale(BUGS[bug].devices, messages, kills, seed, parts, bug, planted)


def _prove_planted(bugs: Sequence[str], seed: str, keep: Path | None) -> int:
    """Live with each mistake, and without any; return 0 where exactly the mistakes are noticed."""
    failed = False
    without: list[Bug] = []
    for name in bugs:
        # One life without a mistake for all that have the same circumstances.
        alike = replace(BUGS[name], what="", plant=BUGS[name].circumstances)
        lives = [True] if alike in without else [True, False]
        without.append(alike)
        for planted in lives:
            life = name if planted else f"without {name}"
            scale = planted_scale(name, seed, planted=planted)
            kept = None if keep is None else keep / life.replace(" ", "-")
            wrong = run_chaos(scale, _quiet, kept).wrong
            as_it_should = bool(wrong) is planted
            failed = failed or not as_it_should
            first = wrong[0] if wrong else "nothing wrong"
            more = f" (and {len(wrong) - 1:,} more)" if len(wrong) > 1 else ""
            print(f"{'ok  ' if as_it_should else 'FAIL'} {life}: {first}{more}", flush=True)
    print("not as it should be" if failed else f"all noticed; again with --seed {seed}")
    return int(failed)


def _quiet(_line: str) -> None:
    pass


def _print(report: ChaosReport) -> None:
    account = report.account
    truths = report.truths
    if truths:
        print(f"\nwitness: {sum(t.acknowledged for t in truths):,} messages acknowledged, of these")
        print(f"  {sum(t.malformed for t in truths):,} malformed on purpose")
    if account:
        taken, items = account["messages"], account["received"]
        print(f"broker handed over {taken:,} messages with {items:,} items")
        for name in ENDS:
            print(f"  {name.replace('_', ' '):14}{account[name]:>10,}")
    if report.replayed:
        print(f"{report.replayed:,} readings were refused by a clock that was behind, and replayed")
    print(f"{report.commands:,} commands; {report.struck.total():,} faults:")
    for what, count in sorted(report.struck.items()):
        print(f"  {count:>4}  {what}")
    if report.looks:
        database, cache, portal = report.looks
        print(
            f"looks: {database:,} at the database, {cache:,} at the cache, {portal:,} at the portal"
        )
    for line in report.wrong[:30]:
        print(f"WRONG: {line}")
