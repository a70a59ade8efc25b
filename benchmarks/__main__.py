"""`./bench`: prints a table, and writes JSON with `--json FILE`."""

import argparse
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks import (
    broker_residue,
    cold_start,
    command_latency,
    connections,
    drain,
    idle,
    limits,
    portal,
    reading_path,
    sensor_codecs,
    stages,
)
from plumbline.local.broker_journal import JOURNAL_MODES


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="./bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_BENCHMARKS)}")
    parser.add_argument("--readings", type=int, default=100_000, help="backlog (default 100,000)")
    parser.add_argument(
        "--obvious-readings", type=int, default=5_000, help="of the slow script (default 5,000)"
    )
    parser.add_argument(
        "--history",
        type=int,
        default=0,
        help="measure the reading path again beside so many older readings (default: not)",
    )
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument(
        "--rows", type=int, default=26_000_000, help="readings for the portal (default 26,000,000)"
    )
    parser.add_argument("--export-rows", type=int, default=1_000_000, help="of one device")
    parser.add_argument("--connections", type=int, default=500, help="to the portal (default 500)")
    parser.add_argument("--seconds", type=int, default=10, help="of each load (default 10)")
    parser.add_argument("--users", type=int, default=500, help="of the portal (default 500)")
    parser.add_argument(
        "--devices", type=int, default=10_000, help="connected at once (default 10,000)"
    )
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
    names = options.names or list(_BENCHMARKS)
    unknown = set(names) - set(_BENCHMARKS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(_BENCHMARKS)}")
    results: dict[str, Any] = {"machine": _machine()}
    print(f"{results['machine']}\n")
    for name in names:
        results[name.replace("-", "_")] = _BENCHMARKS[name](options)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2), "utf-8")


def _print_reading_path(lines: list[reading_path.Measurement]) -> None:
    own = lines[0].rate
    print("backlog in the broker → committed rows, 1,000 devices, everything durable")
    headings = ("readings", "seconds", "readings/s", "plumbline is", "peak MB", "shared once")
    print(f"{'':26}" + "{:>10}{:>10}{:>12}{:>14}{:>9}{:>13}".format(*headings))
    for line in lines:
        memory = "" if line.peak_mb is None else f"{line.peak_mb:.0f}"
        once = "" if line.peak_shared_once_mb is None else f"{line.peak_shared_once_mb:.0f}"
        ratio = "" if line is lines[0] else f"{own / line.rate:.2f} x"
        print(
            f"{line.name:26}{line.readings:>10,}{line.seconds:>10.2f}{line.rate:>12,.0f}"
            f"{ratio:>14}{memory:>9}{once:>13}"
        )
    print()


def _reading_path(options: argparse.Namespace) -> object:
    lines = reading_path.measure(options.readings, options.obvious_readings, options.history)
    _print_reading_path(lines)
    return [asdict(line) | {"rate": line.rate} for line in lines]


def _drain(options: argparse.Namespace) -> object:
    drains = drain.measure(options.readings)
    print("backlog in the broker → a list in memory, acknowledged in batches of 1,000")
    print(f"{'':26}{'readings/s':>12}{'CPU µs each':>13}")
    for one in drains:
        print(f"{one.name:26}{one.rate:>12,.0f}{one.cpu_us:>13.1f}")
    print()
    return [asdict(one) for one in drains]


def _codecs(_: argparse.Namespace) -> object:
    speeds = sensor_codecs.measure()
    print("one process, calls/s")
    for one in speeds:
        print(f"{one.name:40}{one.rate:>12,.0f}")
    print()
    return [asdict(one) for one in speeds]


def _stages(_: argparse.Namespace) -> object:
    found = stages.measure()
    print("one process, µs of CPU a reading, batches of 1,000")
    for stage in found:
        print(f"{stage.name:40}{stage.us_per_reading:>8.1f}")
    print(f"{'together':40}{sum(stage.us_per_reading for stage in found):>8.1f}\n")
    return [asdict(stage) for stage in found]


def _commands(_: argparse.Namespace) -> object:
    latency = command_latency.measure()
    print(
        f"commands, REST → device: {latency.commands:,} at {latency.rate_per_s:.0f}/s, "
        f"p50 {latency.p50_ms:.0f} ms, p99 {latency.p99_ms:.0f} ms, "
        f"longest {latency.longest_ms:.0f} ms, missing {latency.missing}\n"
    )
    return asdict(latency)


def _connections(options: argparse.Namespace) -> object:
    found = connections.measure(options.devices)
    print(
        f"connections over TLS: {found.devices:,} devices "
        f"registered in {found.registered_s:.1f} s, "
        f"connected in {found.connected_s:.0f} s; Mosquitto {found.broker_mb:.0f} MB, "
        f"{found.kib_each:.1f} KiB and {found.broker_cpu_ms:.2f} ms of CPU for each; "
        f"all published, {found.cpu_ms_a_reading:.2f} ms for each reading, "
        f"and stored after {found.stored_s:.0f} s, "
        f"{'every one correct' if found.correct else 'NOT all correct'}\n"
    )
    return asdict(found)


def _idle(options: argparse.Namespace) -> object:
    found = idle.measure(options.idle_seconds)
    print(
        f"idle: {found.cpu_percent:.1f} % of a core, {found.own_mb:.0f} MB own processes "
        f"({found.own_shared_once_mb:.0f} with shared pages counted once), "
        f"{found.servers_mb:.0f} MB servers; ready {found.start_s:.1f} s after the command\n"
    )
    return asdict(found)


def _limits(_: argparse.Namespace) -> object:
    found = limits.tables()
    for table in found.values():
        print(f"{table}\n")
    return found


def _residue(options: argparse.Namespace) -> object:
    residues = broker_residue.measure(
        options.journal or JOURNAL_MODES, kills=options.kills, rate=options.rate, seed=options.seed
    )
    print(f"broker killed with SIGKILL, readings acknowledged → drained (seed {options.seed})")
    headings = ("kills", "acknowledged", "lost", "duplicates", "out of order", "messages/s")
    print(f"{'journal':10}" + "".join(f"{heading:>14}" for heading in headings))
    for one in residues:
        print(
            f"{one.journal:10}{one.kills:>14,}{one.acknowledged:>14,}{one.lost:>14,}"
            f"{one.duplicates:>14,}{one.out_of_order:>14,}{one.rate:>14,.0f}"
        )
    print()
    return [asdict(one) for one in residues]


def _portal(options: argparse.Namespace) -> object:
    scale = portal.Scale(
        rows=options.rows,
        connections=options.connections,
        seconds=options.seconds,
        export_rows=options.export_rows,
        users=options.users,
    )
    speed = portal.measure(scale)
    portal.show(speed, scale)
    return asdict(speed)


def _cold_start(_: argparse.Namespace) -> object:
    starts = cold_start.measure()
    print(f"{'import of the Lambda archive':30}{'ms':>8}{'MB':>8}{'modules':>10}")
    for start in starts:
        print(f"{start.function:30}{start.import_ms:>8.0f}{start.peak_mb:>8.0f}{start.modules:>10}")
    print()
    return [asdict(start) for start in starts]


_BENCHMARKS: Mapping[str, Callable[[argparse.Namespace], object]] = {
    "reading-path": _reading_path,
    "drain": _drain,
    "codecs": _codecs,
    "stages": _stages,
    "commands": _commands,
    "connections": _connections,
    "idle": _idle,
    "limits": _limits,
    "residue": _residue,
    "portal": _portal,
    "cold-start": _cold_start,
}
"""Each prints what it found, and returns it for the file."""


def _machine() -> str:
    now = datetime.now(UTC).date().isoformat()
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{now}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
