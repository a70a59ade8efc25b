"""Lambda_DB1: from the queue `db1` to the database."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from plumbline import bootstrap
from plumbline.lambdas.runtime import Context, logger, metrics
from plumbline.lambdas.sqs_event import batch_response, messages_of

_log = logger("db1")
_metrics = metrics("db1")
_use_case = bootstrap.once_a_thread(bootstrap.persist)


@_log.inject_lambda_context
@_metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Persist one batch in one transaction; a bad record fails alone.

    Raises:
        StoreUnavailable: The whole batch comes again.
    """
    report = _use_case().run(messages_of(event))
    outcome = report.outcome
    counts = {
        "ReadingsStored": outcome.stored - outcome.answers,
        "ReadingsDuplicate": outcome.duplicates,
        "ReadingsConflicting": outcome.conflicts,
        "MessagesQuarantined": outcome.quarantined,
        "CommandEvents": outcome.command_events,
        "MessagesFailed": len(report.failed),
    }
    for name, count in counts.items():
        _metrics.add_metric(name, MetricUnit.Count, count)
    _log.info(
        "batch_persisted",
        stored=outcome.stored,
        duplicates=outcome.duplicates,
        conflicts=outcome.conflicts,
        quarantined=outcome.quarantined,
        repeated=outcome.repeated,
        command_events=outcome.command_events,
        failed=len(report.failed),
    )
    if report.failed:
        _log.warning("messages_failed", reasons=sorted(set(report.failed.values())))
    return batch_response(report.failed)
