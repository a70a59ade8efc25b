"""What gives way first as the fleet grows, and what larger fleets need: reckoned, not measured.

Measured figures and quotas come from limits.toml, what a reading costs each part from
plumbline.deployment. docs/explanation/limits.md holds the tables; a test holds it against them.
"""

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plumbline.deployment.bill import invocations, monthly_bill, total_usd
from plumbline.deployment.prices import load_prices
from plumbline.deployment.sizes import Deployment
from plumbline.deployment.workload import (
    FULL_CORE_MB,
    PARSING_CPU_S,
    ROW_BYTES,
    SECONDS,
    SQS_CALL_S,
    Load,
)
from plumbline.topology import TOPOLOGY

INTERVALS_S = (300.0, 60.0)
FLEETS = (10_000, 100_000, 1_000_000)
_FIGURES = Path(__file__).with_name("limits.toml")
_MOST_DEVICES = 10**9
_SQS_BATCH = 10
_MEMORY_SHARE = 0.5  # of a broker task, for connections; the rest is for what is queued
_REDIS_GB = 0.5 * 0.75  # of cache.t3.micro, without what Redis keeps free
_AURORA_MAX_ACU = 2.0  # of terraform/, without a variable set
_MOST_BROKER_TASKS = 8  # Cloud Map answers with so many addresses at most
_DRAIN_EVERY_S = 60.0  # of larger fleets, instead of the topology's period
_SHORTER = _DRAIN_EVERY_S / TOPOLOGY.schedule("ingestion").period_s
_WRITTEN = "saving the queues"
_CPU_SHARE = 0.6  # of a broker task's, on average
_REGION = "us-east-1"

Figures = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Part:
    """Something that gives way.

    Attributes:
        name: For people.
        used: Fraction of its limit that a load uses.
        instead: What to do then.
    """

    name: str
    used: Callable[[Load, Deployment], float]
    instead: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What a load needs.

    Attributes:
        parsing_runs: At a time, each with a core.
        broker_tasks: Of one vCPU and 2 GB.
        distributing, db1: Runs at a time.
        acu: Of the writer.
        stored_gb: When 90 days are full.
        redis_mb: For the statuses.
        usd: A month, with these sizes.
    """

    load: Load
    parsing_runs: int
    broker_tasks: int
    distributing: int
    db1: int
    acu: float
    stored_gb: float
    redis_mb: float
    usd: float

    @property
    def beyond(self) -> Sequence[str]:
        """What of it this version cannot be given."""
        return [
            *(["parsing runs"] if self.parsing_runs > 1 else []),
            *(["broker tasks"] if self.broker_tasks > _MOST_BROKER_TASKS else []),
        ]


def figures() -> Figures:
    """Return what was measured, and the quotas."""
    with _FIGURES.open("rb") as file:
        return tomllib.load(file)


def parts(found: Figures) -> Sequence[Part]:
    """Return everything that gives way, in the order of the reading path."""
    measured = {name: float(one["value"]) for name, one in found["measured"].items()}
    quota = {name: float(one["value"]) for name, one in found["quota"].items()}
    cpu_s = measured["message_cpu"] / 1000

    def connections(load: Load, of: Deployment) -> float:
        by_memory = _MEMORY_SHARE * of.broker_gb * 2**20 / measured["connection_memory"]
        each = min(by_memory, quota["nlb_connections"], quota["open_files"])
        return load.devices / (of.broker_tasks * each)

    def parsing(load: Load, of: Deployment) -> float:
        longest_s = TOPOLOGY.function("parsing").timeout_s - TOPOLOGY.drain.margin_s
        return invocations(load, of)["parsing"][1] / longest_s

    def sync(load: Load, of: Deployment) -> float:
        return invocations(load, of)["sync"][1] / TOPOLOGY.function("sync").timeout_s

    def all_functions(load: Load, of: Deployment) -> float:
        return sum(n * each_s for n, each_s in invocations(load, of).values()) / SECONDS

    return (
        Part(
            "broker: connections",
            connections,
            "more tasks, up to 8; memory; beyond 440,000 devices a second load balancer",
        ),
        Part(
            "broker: CPU",
            lambda load, of: (
                load.readings_s * cpu_s / (_CPU_SHARE * of.broker_vcpu * of.broker_tasks)
            ),
            "`ecs_task_cpu = 1024`, then more tasks: Mosquitto has one thread",
        ),
        Part(
            "broker: file system",
            lambda load, of: (
                load.saved_mib_s / quota["efs_bursting"] if of.efs_throughput == "bursting" else 0.0
            ),
            '`ingestion_schedule_expression = "rate(1 minute)"`, or elastic throughput',
        ),
        Part(
            "parsing: one run at a time",
            parsing,
            "`lambda_parsing_memory = 1769` and `rate(1 minute)`: eight times as much; beyond, one"
            " run for each broker task, which this version does not do",
        ),
        Part(
            "distributing: runs at a time",
            lambda load, of: _at_once("distributing", load, of) / _concurrency("distributing"),
            "`max_concurrency` of the event source, up to 1,000",
        ),
        Part(
            "queue distributing: requests",
            lambda load, _of: load.readings_s / _SQS_BATCH / quota["fifo_requests"],
            "a quota that AWS raises",
        ),
        Part(
            "db1: runs at a time",
            lambda load, of: _at_once("db1", load, of) / _concurrency("db1"),
            "larger batches first, then `max_concurrency`",
        ),
        Part(
            "Aurora: capacity as deployed",
            lambda load, of: load.acu(of.aurora_min_acu) / _AURORA_MAX_ACU,
            "`aurora_max_capacity`, up to 256",
        ),
        Part(
            "Aurora: one writer",
            lambda load, of: load.acu(of.aurora_min_acu) / quota["aurora_acu"],
            "several clusters, each with a part of the fleet",
        ),
        Part(
            "Aurora: volume",
            lambda load, _of: load.stored_gb / quota["aurora_storage"],
            "shorter retention of raw readings",
        ),
        Part(
            "sync: one run",
            sync,
            "only what has changed since the last run",
        ),
        Part(
            "Redis: memory",
            lambda load, _of: load.devices * measured["status_memory"] / (_REDIS_GB * 2**30),
            "`redis_node_type`, one size more",
        ),
        Part(
            "Lambda: runs at a time, all functions",
            lambda load, of: all_functions(load, of) / quota["lambda_concurrency"],
            "a quota that AWS raises",
        ),
    )


def devices_at(part: Part, interval_s: float, of: Deployment | None = None) -> int:
    """Return with how many devices a part is at its limit, to two digits, downwards."""
    deployed = of or Deployment()
    low, high = 0, _MOST_DEVICES
    while high - low > 1:
        middle = (low + high) // 2
        if part.used(Load(middle, interval_s), deployed) <= 1:
            low = middle
        else:
            high = middle
    unit: int = 10 ** max(0, len(str(low)) - 2)
    return low // unit * unit


def drained_readings_s(broker_tasks: int) -> float:
    """Return what one run of parsing a minute drains in a second, with a whole core."""
    run_s = TOPOLOGY.function("parsing").timeout_s - TOPOLOGY.drain.margin_s
    each_s = PARSING_CPU_S + SQS_CALL_S / _SQS_BATCH
    return (run_s - broker_tasks * TOPOLOGY.drain.linger_s) / each_s / _DRAIN_EVERY_S


def needs(load: Load, found: Figures) -> Needs:
    """Return what a load needs, and what that costs a month."""
    measured = {name: float(one["value"]) for name, one in found["measured"].items()}
    quota = {name: float(one["value"]) for name, one in found["quota"].items()}
    memory_gb = 2.0
    by_memory = _MEMORY_SHARE * memory_gb * 2**20 / measured["connection_memory"]
    by_connections = load.devices / min(by_memory, quota["nlb_connections"])
    by_cpu = load.readings_s * measured["message_cpu"] / 1000 / _CPU_SHARE
    tasks = max(2, math.ceil(by_connections), math.ceil(by_cpu))
    saved_mib_s = _SHORTER * load.saved_mib_s
    of = replace(
        Deployment(),
        broker_tasks=tasks,
        broker_vcpu=1.0,
        broker_gb=memory_gb,
        efs_throughput="bursting" if saved_mib_s <= quota["efs_bursting"] else "elastic",
        lambda_memory_mb={**Deployment().lambda_memory_mb, "parsing": FULL_CORE_MB},
    )
    return Needs(
        load,
        parsing_runs=math.ceil(load.readings_s / drained_readings_s(tasks)),
        broker_tasks=tasks,
        distributing=math.ceil(_at_once("distributing", load, of)),
        db1=math.ceil(_at_once("db1", load, of)),
        acu=load.acu(of.aurora_min_acu),
        stored_gb=load.stored_gb,
        redis_mb=load.devices * measured["status_memory"] / 2**20,
        usd=_usd(load, of),
    )


def _usd(load: Load, of: Deployment) -> float:
    """Return the bill, with what the broker writes to its file system between two shorter drains.

    Each save writes all that waits.
    """
    bill = monthly_bill(load, of, load_prices(_REGION))
    written = total_usd([item for item in bill if item.name == _WRITTEN])
    return total_usd(bill) - (1 - _SHORTER) * written


def _at_once(function: str, load: Load, of: Deployment) -> float:
    count, each_s = invocations(load, of)[function]
    return count * each_s / SECONDS


def _concurrency(function: str) -> int:
    return next(s.max_concurrency for s in TOPOLOGY.event_sources if s.function == function)


# --- as Markdown ----------------------------------------------------------------------------


def tables(found: Figures | None = None) -> Mapping[str, str]:
    """Return what docs/explanation/limits.md has from here, tables and sentences, by name."""
    found = found or figures()
    return {
        "measured": "\n".join(_measured(found)),
        "first": "\n".join(_first(found)),
        "needs": "\n".join(_needs(found)),
        "quotas": "\n".join(_quotas(found)),
        "machine": _machine(found),
        "return": _return(found),
        "version": _version(),
        "portal": _portal(found),
    }


def _measured(found: Figures) -> Iterator[str]:
    yield "| measured | | command |"
    yield "| --- | --- | --- |"
    for one in found["measured"].values():
        yield f"| {one['what']} | {_number(one['value'])} {one['unit']} | `{one['command']}` |"


def _quotas(found: Figures) -> Iterator[str]:
    yield "| | | stated in |"
    yield "| --- | --- | --- |"
    for one in found["quota"].values():
        yield f"| {one['what']} | {_number(one['value'])} | {one['page']} |"


def _first(found: Figures) -> Iterator[str]:
    yield "| gives way | devices, every 5 minutes | every minute | instead |"
    yield "| --- | --- | --- | --- |"
    slow_s, fast_s = INTERVALS_S
    for part in sorted(parts(found), key=lambda part: devices_at(part, fast_s)):
        slow, fast = devices_at(part, slow_s), devices_at(part, fast_s)
        yield f"| {part.name} | {slow:,} | {fast:,} | {part.instead} |"


def _needs(found: Figures) -> Iterator[str]:
    yield (
        "| devices | a reading every | readings/s | broker tasks | parsing runs | distributing |"
        " db1 | Aurora | 90 days | Redis | dollars a month | more than this version does |"
    )
    yield "|" + " --- |" * 12
    for interval_s in INTERVALS_S:
        for devices in FLEETS:
            one = needs(Load(devices, interval_s), found)
            yield (
                f"| {devices:,} | {interval_s / 60:g} min | {one.load.readings_s:,.0f} |"
                f" {one.broker_tasks} | {one.parsing_runs} | {one.distributing} | {one.db1} |"
                f" {one.acu:,.1f} ACU | {one.stored_gb:,.0f} GB | {one.redis_mb:,.0f} MB |"
                f" {one.usd:,.0f} | {', '.join(one.beyond) or '-'} |"
            )


def _machine(found: Figures) -> str:
    times = found["measured"]["reading_path"]["value"] / Load(10_000, 300.0).readings_s
    stored_gb = Load(10_000, 300.0).stored_gb
    return (
        f"One machine takes the design document's 10,000 readings in five minutes, 33 a second,"
        f" {times:,.0f} times over. Its limits are the rate of the reading path, the files that a"
        f" process may open (`ulimit -Hn`: one for each connection, in the broker), and its disk:"
        f" {ROW_BYTES} bytes a reading, {stored_gb:.0f} GB in 90 days for 10,000 devices that"
        f" report every five minutes."
    )


def _return(found: Figures) -> str:
    busy_s = 10_000 * found["measured"]["connection_cpu"]["value"] / 1000
    return (
        f"After the broker has started anew all devices come back at once: 10,000 keep it busy for"
        f" {busy_s:.0f} s at a whole core, and for {2 * busy_s:.0f} s at the half of one that"
        f" `terraform/` gives a task."
    )


def _version() -> str:
    rate = drained_readings_s(Deployment().broker_tasks)
    slow, fast = (int(rate * s / 1000) for s in INTERVALS_S)
    return (
        f"That is the limit of this version: {slow},000 devices every five minutes, or {fast},000"
        f" every minute."
    )


def _portal(found: Figures) -> str:
    rate = found["measured"]["portal_status"]["value"]
    return f"Its limit is users; two cores answer {rate:,} requests a second from the cache."


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
