"""The portal's speed: `python -m benchmarks.portal`; needs wrk (Debian package of that name).

Every load runs on the machine of the servers, so the figures are of all together.
"""

import argparse
import csv
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg

from benchmarks.portal_world import PASSWORD, World, bare_server, obvious_server, running_world

_HERE = Path(__file__).parent
_STATUS = "/api/v1/devices/dev-7/status"
_NAMES = ("status", "series", "export", "users")
_MEGABYTE = 1 << 20


def main() -> None:
    """Measure the named things, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.portal", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_NAMES)}")
    parser.add_argument("--rows", type=int, default=26_000_000, help="readings in the table")
    parser.add_argument("--export-rows", type=int, default=1_000_000, help="of one device")
    parser.add_argument("--seconds", type=int, default=10, help="of each load")
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    names = options.names or list(_NAMES)
    if set(names) - set(_NAMES):
        parser.error(f"there are {', '.join(_NAMES)}")
    results = measure(names, options)
    print(json.dumps(results, indent=2))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2), "utf-8")


def measure(names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures by name."""
    results: dict[str, Any] = {}
    with running_world(options.rows) as world:
        if "status" in names:
            results["status"] = _status(world, options.connections, options.seconds)
        if "series" in names:
            results["series"] = _series(world)
        if "export" in names:
            results["export"] = _exports(world, options.export_rows)
        if "users" in names:
            results["users"] = _users(world, options.users, options.seconds)
    return results


def _status(world: World, connections: int, seconds: int) -> dict[str, Any]:
    """Cached status, authenticated, beside the floor and the obvious way; each twice, in turn."""
    _get(world, _STATUS)  # read through
    found: dict[str, list[dict[str, float]]] = {"portal": [], "bare": [], "obvious": []}
    for _ in range(2):
        found["portal"].append(_wrk(world.url, connections, seconds, world.token))
        with bare_server() as url:
            found["bare"].append(_wrk(url, connections, seconds))
        _get(world, _STATUS)
        with obvious_server(world.redis_url) as url:
            found["obvious"].append(_wrk(url, connections, seconds))
    best = {name: max(runs, key=lambda run: run["rate"]) for name, runs in found.items()}
    portal, bare, obvious = best["portal"], best["bare"], best["obvious"]
    return {
        **best,
        "of_bare_percent": round(100 * portal["rate"] / bare["rate"], 1),
        "p99_times_bare": round(portal["p99_ms"] / bare["p99_ms"], 2),
        "times_obvious": round(portal["rate"] / obvious["rate"], 2),
    }


def _wrk(url: str, connections: int, seconds: int, token: str | None = None) -> dict[str, float]:
    wrk = shutil.which("wrk")
    if wrk is None:
        msg = "wrk is missing: apt-get install wrk"
        raise SystemExit(msg)
    argv = [wrk, "-t1", f"-c{connections}", "--timeout", "10s", "-s", str(_HERE / "wrk.lua")]
    if token is not None:
        argv += ["-H", f"Authorization: Bearer {token}"]
    for length in (2, seconds):  # the first is to warm up
        done = subprocess.run(
            [*argv, f"-d{length}s", url + _STATUS], check=True, capture_output=True, text=True
        )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {**measured, "rate": round(measured["requests"] / measured["seconds"])}


def _series(world: World) -> dict[str, Any]:
    """Series of one device, warm."""
    found: dict[str, Any] = {}
    now = datetime.now(UTC)
    for name, length in (("90_days", 90), ("7_days", 7), ("1_day", 1)):
        first = now - timedelta(days=length)
        path = (
            f"/api/v1/devices/dev-7/series?points=2000&from={first:%Y-%m-%dT%H:%M:%SZ}"
            f"&to={now:%Y-%m-%dT%H:%M:%SZ}"
        )
        times = [_timed(lambda path=path: _get(world, path)) for _ in range(11)]  # type: ignore[misc] # bound early
        body = json.loads(_get(world, path))
        found[name] = {
            "readings": sum(body["count"]),
            "points": len(body["t"]),
            "median_ms": round(1000 * median(times[1:]), 1),
            "worst_ms": round(1000 * max(times[1:]), 1),
        }
    return found


def _exports(world: World, rows: int) -> dict[str, Any]:
    """All readings of one device of so many, and the memory of the portal meanwhile."""
    with psycopg.connect(world.database_url, autocommit=True) as connection:
        connection.execute(
            'INSERT INTO sensor_data (device_id, "timestamp", tilt_angle, status, battery_level,'
            " tilt_x, tilt_y, temperature, received_at, delivery_id)"
            " SELECT 'dev-large', now() - interval '90 days' * (n::float8 / %(rows)s), random(),"
            " 'normal', 87, random(), random(), 21.5, now(), gen_random_uuid()"
            " FROM generate_series(1, %(rows)s::int) n",
            {"rows": rows},
        )
        connection.execute(
            "INSERT INTO device_status VALUES ('dev-large', now(), 'normal', 1, 87, now())"
        )
        connection.execute("VACUUM ANALYZE sensor_data")
    found: dict[str, Any] = {}
    for suffix in ("parquet", "csv"):
        path = f"/api/v1/devices/dev-large/readings.{suffix}"
        before_mb = world.portal_mb()
        with _Peak(world.portal_mb) as peak:
            took_s = _timed(lambda path=path: _drain(world, path))  # type: ignore[misc] # bound early
        found[suffix] = {
            "rows": rows,
            "rows_per_s": round(rows / took_s),
            "portal_mb_before": round(before_mb),
            "portal_mb_peak": round(peak.highest),
        }
    return found


def _users(world: World, users: int, seconds: int) -> dict[str, Any]:
    """Many users at once, driven by Locust: sign-in, fleet, device, series, command."""
    with tempfile.TemporaryDirectory() as name:
        prefix = Path(name) / "users"
        argv = [sys.executable, "-m", "locust", "-f", str(_HERE / "portal_users.py")]
        argv += ["--headless", "--only-summary", "--host", world.url, "--csv", str(prefix)]
        ramp_s = max(1, users // 20)
        argv += ["-u", str(users), "-r", "20", "-t", f"{ramp_s + 2 * seconds}s"]
        environment = {**os.environ, "PORTAL_BENCH_PASSWORD": PASSWORD}
        subprocess.run(argv, check=False, capture_output=True, env=environment)
        with prefix.with_name("users_stats.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    return {
        row["Name"]: {
            "requests": int(row["Request Count"]),
            "failures": int(row["Failure Count"]),
            "p50_ms": float(row["50%"]),
            "p95_ms": float(row["95%"]),
        }
        for row in rows
    }


class _Peak:
    """Looks at a figure ten times a second."""

    def __init__(self, figure: Callable[[], float]) -> None:
        self._figure = figure
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.highest = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.highest = max(self.highest, self._figure())


def _timed(action: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    action()
    return time.perf_counter() - began_s


def _get(world: World, path: str) -> bytes:
    connection, response = _ask(world, path)
    body = response.read()
    connection.close()
    return body


def _drain(world: World, path: str) -> int:
    connection, response = _ask(world, path)
    size = 0
    while block := response.read(_MEGABYTE):
        size += len(block)
    connection.close()
    return size


def _ask(world: World, path: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    parts = urlsplit(world.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
    connection.request("GET", path, headers={"Authorization": f"Bearer {world.token}"})
    response = connection.getresponse()
    if response.status != http.client.OK:
        msg = f"{path}: {response.status} {response.read()!r}"
        raise RuntimeError(msg)
    return connection, response


if __name__ == "__main__":
    main()
