"""What would make the bill smaller, by how much, and at what price of another kind."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from plumbline.deployment.bill import monthly_bill, total_usd
from plumbline.deployment.prices import Prices
from plumbline.deployment.sizes import Deployment
from plumbline.deployment.workload import Load

_GRAVITON = {
    "t3.small": "t4g.small",
    "t3.medium": "t4g.medium",
    "t3.large": "t4g.large",
    "cache.t3.micro": "cache.t4g.micro",
    "cache.t3.small": "cache.t4g.small",
}
_SMALLER = {"t3.large": "t3.medium", "t3.medium": "t3.small"}
_LARGE_BATCH = 100
_LEAST_USD = 0.01


@dataclass(frozen=True, slots=True)
class Saving:
    """One change.

    Attributes:
        change: What to do.
        price: What is given up.
        usd: Less a month.
    """

    change: str
    price: str
    usd: float


Change = Callable[[Load, Deployment], tuple[Load, Deployment]]


def _on_graviton(load: Load, of: Deployment) -> tuple[Load, Deployment]:
    return load, replace(
        of,
        broker_architecture="arm64",
        lambda_architecture="arm64",
        portal_type=_GRAVITON.get(of.portal_type, of.portal_type),
        cache_type=_GRAVITON.get(of.cache_type, of.cache_type),
    )


def _half_as_often(load: Load, of: Deployment) -> tuple[Load, Deployment]:
    return replace(load, interval_s=2 * load.interval_s), of


_CHANGES: tuple[tuple[str, str, Change], ...] = (
    (
        "readings half as often",
        "half the resolution",
        _half_as_often,
    ),
    (
        "one Aurora instance",
        "a failover takes ten minutes instead of one; no zone to spare",
        lambda load, of: (load, replace(of, aurora_instances=1)),
    ),
    (
        "one NAT gateway instead of interface endpoints",
        "private components reach the internet, and none when that zone is away",
        lambda load, of: (load, replace(of, endpoints=0, nat_gateways=1)),
    ),
    (
        "throughput of EFS by its size, not elastic",
        "above 1 MiB/s for days the broker waits for its file system",
        lambda load, of: (load, replace(of, efs_throughput="bursting")),
    ),
    (
        "one size smaller for the portal",
        "half the memory and CPU credits; fewer users at a time",
        lambda load, of: (
            load,
            replace(of, portal_type=_SMALLER.get(of.portal_type, of.portal_type)),
        ),
    ),
    (
        "Graviton for broker, functions, portal and cache",
        "packages and image built with --architecture arm64",
        _on_graviton,
    ),
    (
        f"db1 in batches of {_LARGE_BATCH}",
        "a reading waits a second or two longer; a bad one makes more come again",
        lambda load, of: (load, replace(of, db1_batch=max(of.db1_batch, _LARGE_BATCH))),
    ),
    (
        "no lines and metrics of each run (POWERTOOLS_LOG_LEVEL=WARNING, metrics off)",
        "the alarms on readings and refusals",
        lambda load, of: (load, replace(of, function_logs=False, custom_metrics=0)),
    ),
    (
        "no AWS Config",
        "no history of changes to the account",
        lambda load, of: (load, replace(of, config=False)),
    ),
)


def savings(load: Load, of: Deployment, prices: Prices) -> list[Saving]:
    """Return what saves something, most first; each alone, so that they do not add up."""
    now = total_usd(monthly_bill(load, of, prices))
    found = [
        Saving(name, price, now - total_usd(monthly_bill(*change(load, of), prices)))
        for name, price, change in _CHANGES
    ]
    return sorted((s for s in found if s.usd >= _LEAST_USD), key=lambda s: -s.usd)
