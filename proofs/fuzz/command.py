"""`./prove fuzz`: its options and what it prints."""

import argparse
import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from proofs.chaos.judge import ENDS
from proofs.fuzz.oracle import ACCEPTED
from proofs.fuzz.over_mqtt import MqttReport, fuzz_over_mqtt
from proofs.fuzz.run import FuzzReport, fuzz, make_case
from proofs.fuzz.targets import targets


def add_fuzz(proofs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the proof to `./prove`."""
    summary = "damaged and made-up payloads for everything that reads what comes from outside"
    parser = proofs.add_parser("fuzz", help=summary, description=summary)
    parser.add_argument(
        "--cases", type=int, default=2_000_000, help="in this process (default 2,000,000)"
    )
    parser.add_argument("--seconds", type=float, help="for so long instead")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="(default: one a processor)"
    )
    parser.add_argument("--seed", help="of everything (default: a new one)")
    parser.add_argument(
        "--target", action="append", choices=list(targets()), help="this one only; may be repeated"
    )
    parser.add_argument(
        "--messages",
        type=int,
        default=200_000,
        help="over MQTT to a whole system, after that (default 200,000; 0: none)",
    )
    parser.add_argument("--case", type=int, help="of one --target: throw it again, and say all")
    parser.set_defaults(prove=_prove)


def _prove(options: argparse.Namespace) -> int:
    seed = options.seed or secrets.token_hex(4)
    if options.case is not None:
        return _again(seed, options.target or [], options.case)
    report = fuzz(
        seed,
        cases=None if options.seconds else options.cases,
        seconds=options.seconds,
        processes=options.processes,
        names=options.target or (),
    )
    _print(seed, report)
    wrong = any(report.failures())
    if options.messages and not options.target:
        print(f"\nover MQTT: {options.messages:,} messages to a whole system", flush=True)
        over_mqtt = fuzz_over_mqtt(seed, options.messages, lambda line: print(line, flush=True))
        _print_over_mqtt(seed, over_mqtt)
        wrong |= bool(over_mqtt.wrong)
    return 1 if wrong else 0


def _print(seed: str, report: FuzzReport) -> None:
    print(f"seed {seed}: {report.cases:,} cases in {report.seconds:.0f} s")
    print(f"{'target':27}{'cases':>9}{'a second':>9}{'slowest':>9}  items")
    for name, one in report.targets.items():
        rate = one.cases / one.seconds if one.seconds else 0.0
        print(
            f"{name:27}{one.cases:>9,}{rate:>9,.0f}{one.slowest_ms:>6.0f} ms  {_words(one.words)}"
        )
    print(f"no process grew by more than {report.grown_mb:.0f} MB")
    failures = list(report.failures())
    for line in failures:
        print(f"WRONG: {line}")
    for name, one in report.targets.items():
        if one.failure is not None:
            path = Path(tempfile.gettempdir()) / f"plumbline-fuzz-{seed}-{one.failure.number}.bin"
            path.write_bytes(make_case(seed, targets()[name], one.failure.number).payload)
            again = f"./prove fuzz --seed {seed} --target '{name}' --case {one.failure.number}"
            print(f"again: {again}   (payload in {path})")
    verdict = (
        f"{len(failures):,} targets are WRONG" if failures else "nothing but what is documented"
    )
    print(f"{verdict}; again with --seed {seed}")


def _print_over_mqtt(seed: str, report: MqttReport) -> None:
    account = report.account
    print(f"{report.acknowledged:,} messages acknowledged, {account['messages']:,} received")
    print(f"{report.left_out:,} left out: their time would be at the edge when they are received")
    print(f"{account['received']:,} items")
    for name in ENDS:
        print(f"  {name.replace('_', ' '):14}{account[name]:>10,}")
    reasons = Counter[str]()
    for (_, reason, _, _), count in report.expected.quarantined.items():
        reasons[reason] += count
    print(f"quarantined, byte for byte: {_counts(reasons)}")
    for line in report.wrong[:30]:
        print(f"WRONG: {line}")
    good = "all as was said before, no process ended"
    verdict = f"{len(report.wrong):,} things are WRONG" if report.wrong else good
    print(f"{verdict}; {report.seconds:.0f} s; again with --seed {seed}")


def _words(words: Mapping[str, int]) -> str:
    others = {word: count for word, count in words.items() if word != ACCEPTED}
    return f"{words.get(ACCEPTED, 0):,} accepted; {_counts(others)}"


def _counts(words: Mapping[str, int]) -> str:
    return "; ".join(
        f"{count:,} {word}" for word, count in sorted(words.items(), key=lambda one: -one[1])
    )


def _again(seed: str, names: list[str], number: int) -> int:
    if len(names) != 1:
        print("--case needs one --target")
        return 2
    target = targets()[names[0]]
    case = make_case(seed, target, number)
    print(f"beside it: {case.beside!r:.2000}\npayload: {case.payload!r:.10000}", flush=True)
    print("; ".join(target.judge(case)))
    return 0
