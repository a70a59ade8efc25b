"""Many users at once, driven by Locust: what they do stands in portal_users.py."""

import csv
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.portal_world import PASSWORD, World

_SCRIPT = Path(__file__).with_name("portal_users.py")
_COME_EACH_SECOND = 10


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """Of one kind of request, or of all.

    Attributes:
        name: Of the kind.
        requests: Sent.
        failures: Not answered with 2xx.
        rate: Requests a second.
        p50_ms, p95_ms: Time to the answer.
    """

    name: str
    requests: int
    failures: int
    rate: float
    p50_ms: float
    p95_ms: float


def measure(world: World, users: int, seconds: int) -> list[RequestTimes]:
    """Let so many users come, ten a second, and stay for so long after the last has come.

    Returns:
        Each kind of request, the time when they come included; at the end all together.
    """
    with tempfile.TemporaryDirectory() as name:
        prefix = Path(name) / "load"
        argv = [sys.executable, "-P", "-m", "locust", "-f", str(_SCRIPT), "--headless"]
        argv += ["--only-summary", "--host", world.url, "--csv", str(prefix)]
        argv += ["-u", str(users), "-r", str(_COME_EACH_SECOND)]
        argv += ["-t", f"{users // _COME_EACH_SECOND + seconds}s"]
        environment = {**os.environ, "PORTAL_BENCH_PASSWORD": PASSWORD}
        done = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment)
        found = prefix.with_name("load_stats.csv")
        if not found.exists():
            raise RuntimeError(done.stderr)
        with found.open(encoding="utf-8") as file:
            return [_times(row) for row in csv.DictReader(file)]


def _times(row: dict[str, str]) -> RequestTimes:
    return RequestTimes(
        "all" if row["Name"] == "Aggregated" else row["Name"],
        int(row["Request Count"]),
        int(row["Failure Count"]),
        float(row["Requests/s"]),
        float(row["50%"]),
        float(row["95%"]),
    )
