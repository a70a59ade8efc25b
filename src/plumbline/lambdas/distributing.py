"""Lambda_Distributing: from the queue `distributing` to the queues behind it."""

from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from plumbline import bootstrap
from plumbline.lambdas.runtime import Context, logger, metrics
from plumbline.lambdas.sqs_event import batch_response, messages_of

_log = logger("distributing")
_metrics = metrics("distributing")
_use_case = bootstrap.once_a_thread(bootstrap.distribute)


@_log.inject_lambda_context
@_metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Route one batch; a failed message holds back the rest of its group.

    Raises:
        QueueUnavailable: The whole batch comes again.
    """
    messages = messages_of(event)
    failed = _use_case().run(messages)
    _metrics.add_metric("MessagesRouted", MetricUnit.Count, len(messages) - len(failed))
    _metrics.add_metric("MessagesFailed", MetricUnit.Count, len(failed))
    _log.info("batch_routed", messages=len(messages), failed=len(failed))
    if failed:
        _log.warning("messages_failed", reasons=sorted(set(failed.values())))
    return batch_response(failed)
