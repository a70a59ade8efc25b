"""Cached statuses a second: the portal, its server's floor, and the obvious way, in turn."""

import json
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.portal_data import DEVICES
from benchmarks.portal_rivals import bare_server, obvious_server
from benchmarks.portal_world import World

_SCRIPT = Path(__file__).with_name("wrk.lua")
_ROUNDS = 3
_WARM_UP_S = 2


@dataclass(frozen=True, slots=True)
class Load:
    """What many connections got, each asking again as soon as it is answered.

    Attributes:
        rate: Answers a second.
        p50_ms, p99_ms: Time to an answer.
        errors: Everything that was no answer of status 200 in time.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    errors: int


@dataclass(frozen=True, slots=True)
class StatusSpeed:
    """Medians of the rounds; ratios are medians of the ratios within a round.

    Attributes:
        portal: With an API token, through everything that every request passes.
        bare: A constant of the same size, on the same server.
        obvious: FastAPI, uvicorn and a pool of redis-py; nobody need sign in.
        of_bare, p99_of_bare, of_obvious: The portal's, as multiples.
    """

    portal: Load
    bare: Load
    obvious: Load
    of_bare: float
    p99_of_bare: float
    of_obvious: float


def measure(world: World, connections: int, seconds: int) -> StatusSpeed:
    """Measure all three, several times in turn.

    Args:
        world: Running.
        connections: At a time.
        seconds: Of each load.
    """
    runs: dict[str, list[Load]] = {"portal": [], "bare": [], "obvious": []}
    with ExitStack() as stack:
        urls = {
            "portal": world.url,
            "bare": stack.enter_context(bare_server()),
            "obvious": stack.enter_context(obvious_server(world.system.endpoints.redis_url)),
        }
        for url in urls.values():
            _load(url, world.token, connections, _WARM_UP_S)
        for _ in range(_ROUNDS):
            for name, url in urls.items():
                runs[name].append(_load(url, world.token, connections, seconds))
    portal, bare, obvious = runs.values()
    return StatusSpeed(
        _median(portal),
        _median(bare),
        _median(obvious),
        of_bare=median(p.rate / b.rate for p, b in zip(portal, bare, strict=True)),
        p99_of_bare=median(p.p99_ms / b.p99_ms for p, b in zip(portal, bare, strict=True)),
        of_obvious=median(p.rate / o.rate for p, o in zip(portal, obvious, strict=True)),
    )


def _load(url: str, token: str, connections: int, seconds: int) -> Load:
    wrk = shutil.which("wrk")
    if wrk is None:
        msg = "wrk is missing; ./bench installs it"
        raise SystemExit(msg)
    argv = [wrk, "-t1", f"-c{connections}", f"-d{seconds}", "--timeout", "10s"]
    argv += ["-s", str(_SCRIPT), "-H", f"Authorization: Bearer {token}", url, "--", str(DEVICES)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    rate = found["requests"] / found["seconds"]
    return Load(rate, found["p50_ms"], found["p99_ms"], found["errors"])


def _median(loads: list[Load]) -> Load:
    return Load(
        median(load.rate for load in loads),
        median(load.p50_ms for load in loads),
        median(load.p99_ms for load in loads),
        sum(load.errors for load in loads),
    )
