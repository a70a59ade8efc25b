"""`./bench`: prints a table, and writes JSON with `--json FILE`."""

import argparse
import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks import cold_start, idle, reading_path

_NAMES = ("reading-path", "idle", "cold-start")


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="./bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_NAMES)}")
    parser.add_argument("--readings", type=int, default=100_000, help="backlog (default 100,000)")
    parser.add_argument(
        "--obvious-readings", type=int, default=5_000, help="of the slow script (default 5,000)"
    )
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    names = options.names or _NAMES
    unknown = set(names) - set(_NAMES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(_NAMES)}")
    results: dict[str, Any] = {"machine": _machine()}
    print(f"{results['machine']}\n")
    if "reading-path" in names:
        lines = reading_path.measure(options.readings, options.obvious_readings)
        results["reading_path"] = [asdict(line) | {"rate": line.rate} for line in lines]
        _print_reading_path(lines)
    if "idle" in names:
        found = idle.measure(options.idle_seconds)
        results["idle"] = asdict(found)
        print(
            f"idle: {found.cpu_percent:.1f} % of a core, {found.own_mb:.0f} MB own processes, "
            f"{found.servers_mb:.0f} MB servers; ready {found.start_s:.1f} s after the command"
        )
    if "cold-start" in names:
        starts = cold_start.measure()
        results["cold_start"] = [asdict(start) for start in starts]
        print(f"{'import of the Lambda archive':30}{'ms':>8}{'MB':>8}{'modules':>10}")
        for start in starts:
            print(
                f"{start.function:30}{start.import_ms:>8.0f}{start.peak_mb:>8.0f}"
                f"{start.modules:>10}"
            )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2), "utf-8")


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


def _machine() -> str:
    now = datetime.now(UTC).date().isoformat()
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{now}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
