"""`./prove mutation`: its options and what it prints."""

import argparse
import secrets
import sys
from collections.abc import Callable

from proofs.mutation.equivalent import EQUIVALENT
from proofs.mutation.run import PartReport, mutate
from proofs.mutation.targets import PARTS

_ENOUGH = 0.9


def add_mutation(proofs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the proof to `./prove`."""
    summary = "parser, router, writer and ledger, changed one place at a time: a test must notice"
    parser = proofs.add_parser("mutation", help=summary, description=summary)
    parser.add_argument("--part", choices=list(PARTS), help="this one only")
    parser.add_argument("--sample", type=int, help="so many mutants of each part (default: all)")
    parser.add_argument("--seed", help="of the sample (default: a new one)")
    parser.set_defaults(prove=_prove)


def _prove(options: argparse.Namespace) -> int:
    seed = options.seed or secrets.token_hex(4)
    stdout = sys.stdout  # pytest's own words are not wanted, these are

    def say(line: str) -> None:
        print(line, file=stdout, flush=True)

    reports = {
        part: mutate(part, say, sample=options.sample, seed=seed)
        for part in ([options.part] if options.part else PARTS)
    }
    if options.sample:
        say(f"a sample of {options.sample} a part, seed {seed}")
    say(
        f"{'part':8}{'mutants':>9}{'killed':>8}{'hung':>6}{'survived':>10}{'equivalent':>12}  score"
    )
    whole = PartReport()
    for part, report in reports.items():
        _line(part, report, say)
        whole.mutants += report.mutants
        whole.killed += report.killed
        whole.timed_out += report.timed_out
        whole.survived += report.survived
        whole.equivalent += report.equivalent
        whole.seconds += report.seconds
    _line("whole", whole, say)
    for change in whole.equivalent:
        say(f"equivalent {change}: {EQUIVALENT[change.key]}")
    enough = all(report.score >= _ENOUGH for report in reports.values())
    verdict = "at least" if enough else "NOT EVERYWHERE"
    say(f"{verdict} {_ENOUGH:.0%} noticed; {whole.seconds:.0f} s")
    return 0 if enough else 1


def _line(name: str, report: PartReport, say: Callable[[str], None]) -> None:
    counts = f"{report.mutants:>9,}{report.killed:>8,}{report.timed_out:>6,}"
    others = f"{len(report.survived):>10,}{len(report.equivalent):>12,}"
    say(f"{name:8}{counts}{others}  {report.score:.1%}")
