"""The worker processes of one machine: which functions each runs, and their environment."""

import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

# Two processes: draining the broker and what comes after it keep a core each busy.
WORKERS: Mapping[str, tuple[str, ...]] = {
    "ingestion": ("parsing",),
    "pipeline": (
        "distributing",
        "db1",
        "sync",
        "maintenance",
        "mqtt_command",
        "lorawan_command",
    ),
}

COMMAND_FUNCTIONS = ("mqtt_command", "lorawan_command")
"""Each is a user of its own at the broker."""

# An answer needs a drain, two queues and a transaction; a busy machine, a few seconds.
_SHORTEST_GRACE_S = 10.0


def worker_environment(  # noqa: PLR0913 - one argument a setting
    *,
    run_dir: Path,
    database_url: str,
    redis_url: str,
    broker_url: str,
    command_broker_urls: Mapping[str, str],
    ingest_every_s: float,
    sync_every_s: float,
) -> dict[str, str]:
    """Return the environment that a worker's functions read their settings from.

    Args:
        run_dir: For locks and status files.
        database_url: Also holds the queues.
        redis_url: With password.
        broker_url: With the ingest user and its password.
        command_broker_urls: By command function, each with its own user.
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
        "COMMAND_ACK_GRACE_S": str(max(_SHORTEST_GRACE_S, 2 * ingest_every_s)),
        **{broker_setting(name): url for name, url in command_broker_urls.items()},
        # CloudWatch reads metrics from the log; on one machine `plumbline status` has them.
        "POWERTOOLS_METRICS_DISABLED": "true",
    }


def broker_setting(function: str) -> str:
    """Return the setting that holds a command function's own user at the broker."""
    return f"{function.upper()}_BROKER_ENDPOINT"


def worker_argv(name: str, *, without: Collection[str] = ()) -> list[str]:
    """Return the command of the worker process of that name.

    Args:
        name: Of WORKERS.
        without: Functions that cannot run here.
    """
    functions = [function for function in WORKERS[name] if function not in without]
    return [sys.executable, "-m", "plumbline.local.worker", *functions]
