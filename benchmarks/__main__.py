"""`./bench`: prints a table, and writes JSON with `--json FILE`."""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks import broker_residue, command_latency, idle, portal, reading_path, sensor_codecs
from plumbline.local.broker_journal import JOURNAL_MODES

_NAMES = ("reading-path", "codecs", "commands", "idle", "residue", "portal")


def main() -> None:
    """Run the named benchmarks, or all."""
    options, names = _arguments()
    results: dict[str, Any] = {"machine": _machine()}
    print(f"{results['machine']}\n")
    if "reading-path" in names:
        lines = reading_path.measure(options.readings, options.obvious_readings)
        results["reading_path"] = [asdict(line) | {"rate": line.rate} for line in lines]
        _print_reading_path(lines)
    if "codecs" in names:
        speeds = sensor_codecs.measure()
        results["codecs"] = [asdict(one) for one in speeds]
        print("one process, calls/s")
        for one in speeds:
            print(f"{one.name:40}{one.rate:>12,.0f}")
        print()
    if "commands" in names:
        latency = command_latency.measure()
        results["commands"] = asdict(latency)
        print(
            f"commands, REST → device: {latency.commands:,} at {latency.rate_per_s:.0f}/s, "
            f"p50 {latency.p50_ms:.0f} ms, p99 {latency.p99_ms:.0f} ms, "
            f"longest {latency.longest_ms:.0f} ms, missing {latency.missing}\n"
        )
    if "idle" in names:
        found = idle.measure(options.idle_seconds)
        results["idle"] = asdict(found)
        print(
            f"idle: {found.cpu_percent:.1f} % of a core, {found.own_mb:.0f} MB own processes, "
            f"{found.servers_mb:.0f} MB servers; ready {found.start_s:.1f} s after the command\n"
        )
    if "residue" in names:
        residues = broker_residue.measure(
            options.journal or JOURNAL_MODES,
            kills=options.kills,
            rate=options.rate,
            seed=options.seed,
        )
        results["residue"] = [asdict(one) for one in residues]
        _print_residue(residues, options.seed)
    if "portal" in names:
        scale = portal.Scale(
            rows=options.rows,
            connections=options.connections,
            seconds=options.seconds,
            export_rows=options.export_rows,
            users=options.users,
        )
        speed = portal.measure(scale)
        results["portal"] = asdict(speed)
        portal.show(speed, scale)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2), "utf-8")


def _arguments() -> tuple[argparse.Namespace, Sequence[str]]:
    """Return the options, and the names of the benchmarks to run."""
    parser = argparse.ArgumentParser(prog="./bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_NAMES)}")
    parser.add_argument("--readings", type=int, default=100_000, help="backlog (default 100,000)")
    parser.add_argument(
        "--obvious-readings", type=int, default=5_000, help="of the slow script (default 5,000)"
    )
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument(
        "--rows", type=int, default=26_000_000, help="readings for the portal (default 26,000,000)"
    )
    parser.add_argument("--export-rows", type=int, default=1_000_000, help="of one device")
    parser.add_argument("--connections", type=int, default=500, help="to the portal (default 500)")
    parser.add_argument("--seconds", type=int, default=10, help="of each load (default 10)")
    parser.add_argument("--users", type=int, default=500, help="of the portal (default 500)")
    parser.add_argument("--kills", type=int, default=20, help="of each broker (default 20)")
    parser.add_argument("--rate", type=float, default=2_000.0, help="messages/s (default 2,000)")
    parser.add_argument("--seed", type=int, default=1, help="of the kills' moments (default 1)")
    parser.add_argument(
        "--journal",
        action="append",
        choices=JOURNAL_MODES,
        help="modes of the broker's journal to kill (default all)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    names = options.names or _NAMES
    unknown = set(names) - set(_NAMES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(_NAMES)}")
    return options, names


def _print_reading_path(lines: list[reading_path.Measurement]) -> None:
    own = lines[0].rate
    print("backlog in the broker → committed rows, 1,000 devices, everything durable")
    headings = ("readings", "seconds", "readings/s", "plumbline is", "peak MB")
    print(f"{'':26}" + "{:>10}{:>10}{:>12}{:>14}{:>9}".format(*headings))
    for line in lines:
        memory = "" if line.peak_mb is None else f"{line.peak_mb:.0f}"
        ratio = "" if line is lines[0] else f"{own / line.rate:.2f} x"
        print(
            f"{line.name:26}{line.readings:>10,}{line.seconds:>10.2f}{line.rate:>12,.0f}"
            f"{ratio:>14}{memory:>9}"
        )
    print()


def _print_residue(residues: list[broker_residue.Residue], seed: int) -> None:
    print(f"broker killed with SIGKILL, readings acknowledged → drained (seed {seed})")
    headings = ("kills", "acknowledged", "lost", "duplicates", "out of order", "messages/s")
    print(f"{'journal':10}" + "".join(f"{heading:>14}" for heading in headings))
    for one in residues:
        print(
            f"{one.journal:10}{one.kills:>14,}{one.acknowledged:>14,}{one.lost:>14,}"
            f"{one.duplicates:>14,}{one.out_of_order:>14,}{one.rate:>14,.0f}"
        )
    print()


def _machine() -> str:
    now = datetime.now(UTC).date().isoformat()
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{now}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
