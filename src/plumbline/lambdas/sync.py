"""Lambda_Sync: from the database to the cache, by schedule."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from plumbline import bootstrap
from plumbline.lambdas.runtime import Context, logger, metrics

_log = logger("sync")
_metrics = metrics("sync")
_use_case = bootstrap.once_a_thread(bootstrap.sync)


@_log.inject_lambda_context
@_metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001 - a schedule's event says nothing
    """Copy device status and fleet statistics once.

    Raises:
        TransientError: The schedule's retry policy runs it again.
    """
    report = _use_case().run()
    _metrics.add_metric("StatusesSynced", MetricUnit.Count, report.devices)
    _log.debug("cache_synced", devices=report.devices, written=report.written)
    return {"devices": report.devices, "written": report.written}
