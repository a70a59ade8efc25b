"""Where a load is more than the deployment is made for: no bill says that."""

from collections.abc import Iterator

from plumbline.deployment.bill import invocations
from plumbline.deployment.sizes import Deployment
from plumbline.deployment.workload import Load
from plumbline.topology import TOPOLOGY

_FIFO_MESSAGES_S = 3000  # of a FIFO queue without high throughput, in batches of ten
_BURSTING_MIB_S = 1.0
_TASK_CONNECTIONS = 20_000
_MESSAGE_OVERHEAD_BYTES = 350


def exceeded(load: Load, of: Deployment) -> Iterator[str]:
    """Yield what this load needs beyond a larger bill."""
    parsing = TOPOLOGY.function("parsing")
    longest_s = parsing.timeout_s - TOPOLOGY.drain.margin_s
    _, run_s = invocations(load, of)["parsing"]
    if run_s > longest_s:
        yield (
            f"parsing needs {run_s:.0f} s for what comes in five minutes and has {longest_s:.0f}:"
            " run it more often, with more memory and a longer time-out"
        )
    if load.readings_s > _FIFO_MESSAGES_S:
        yield f"{load.readings_s:.0f} readings/s: the FIFO queue needs its high-throughput mode"
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
