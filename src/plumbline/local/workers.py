"""The worker processes of one machine: which functions each runs, and their environment."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# Two processes: draining the broker and what comes after it keep a core each busy.
WORKERS: Mapping[str, tuple[str, ...]] = {
    "ingestion": ("parsing",),
    "pipeline": ("distributing", "db1", "sync", "maintenance"),
}


def worker_environment(  # noqa: PLR0913 - one argument a setting
    *,
    run_dir: Path,
    database_url: str,
    redis_url: str,
    broker_url: str,
    ingest_every_s: float,
    sync_every_s: float,
) -> dict[str, str]:
    """Return the environment that a worker's functions read their settings from.

    Args:
        run_dir: For locks and status files.
        database_url: Also holds the queues.
        redis_url: With password.
        broker_url: With the ingest user and its password.
        ingest_every_s: Period of the ingestion.
        sync_every_s: Period of the sync.
    """
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    return inherited | {
        "BROKER_ENDPOINT": broker_url,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "DISTRIBUTING_QUEUE_URL": f"{database_url}#distributing",
        "DB1_QUEUE_URL": f"{database_url}#db1",
        "PLUMBLINE_RUN_DIR": str(run_dir),
        "PLUMBLINE_INGEST_EVERY_S": str(ingest_every_s),
        "PLUMBLINE_SYNC_EVERY_S": str(sync_every_s),
        # CloudWatch reads metrics from the log; on one machine `plumbline status` has them.
        "POWERTOOLS_METRICS_DISABLED": "true",
    }


def worker_argv(name: str) -> list[str]:
    """Return the command of the worker process of that name."""
    return [sys.executable, "-m", "plumbline.local.worker", *WORKERS[name]]
