"""Where a load is more than the deployment is made for: no bill says that."""

from collections.abc import Iterator

from plumbline.deployment.bill import invocations
from plumbline.deployment.sizes import Deployment
from plumbline.deployment.workload import SECONDS, Load
from plumbline.topology import TOPOLOGY

_BURSTING_MIB_S = 1.0
_TASK_CONNECTIONS = 20_000
_MESSAGE_OVERHEAD_BYTES = 350


def exceeded(load: Load, of: Deployment) -> Iterator[str]:
    """Yield what this load needs beyond a larger bill."""
    parsing = TOPOLOGY.function("parsing")
    longest_s = parsing.timeout_s - TOPOLOGY.drain.margin_s
    runs = invocations(load, of)
    _, run_s = runs["parsing"]
    if run_s > longest_s:
        yield (
            f"parsing needs {run_s:.0f} s for what comes in five minutes and has {longest_s:.0f}:"
            " run it more often, with more memory and a longer time-out"
        )
    for source in TOPOLOGY.event_sources:
        count, each_s = runs[source.function]
        at_once = count * each_s / SECONDS
        if at_once > source.max_concurrency:
            yield (
                f"{at_once:.0f} runs of {source.function} at a time, which may have"
                f" {source.max_concurrency}: raise max_concurrency"
            )
    if of.efs_throughput == "bursting" and load.saved_mib_s > _BURSTING_MIB_S:
        yield (
            f"the broker saves {load.saved_mib_s:.1f} MiB/s, EFS by its size lasts for 1: drain"
            " more often, or choose elastic throughput"
        )
    if load.devices > of.broker_tasks * _TASK_CONNECTIONS:
        yield f"{load.devices} devices on {of.broker_tasks} broker tasks: start more"
    queued = load.readings_s * TOPOLOGY.schedule("ingestion").period_s / of.broker_tasks
    needed_gb = queued * (load.payload_bytes + _MESSAGE_OVERHEAD_BYTES) / 1e9
    if needed_gb > of.broker_gb / 2:
        yield f"five minutes of readings take {needed_gb:.1f} GB of each broker task's memory"
