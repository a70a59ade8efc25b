"""Partitions ahead, retention behind, the ledger folded: by schedule."""

from typing import Any

from plumbline import bootstrap
from plumbline.lambdas.runtime import Context, logger

_log = logger("maintenance")
_use_case = bootstrap.once_a_thread(bootstrap.retention)


@_log.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001 - a schedule's event says nothing
    """Do the day's housekeeping once.

    Raises:
        StoreUnavailable: The schedule's retry policy runs it again.
    """
    report: dict[str, Any] = dict(_use_case().run())
    _log.info("retention_applied", extra=report)
    return report
