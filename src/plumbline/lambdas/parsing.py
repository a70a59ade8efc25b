"""Lambda_Parsing: from the broker to the queue `distributing`, by schedule."""

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit

from plumbline import bootstrap
from plumbline.lambdas.runtime import Context, logger, metrics, remaining_s

_log = logger("parsing")
_metrics = metrics("parsing")
_use_case = bootstrap.once_a_thread(bootstrap.parse)


@_log.inject_lambda_context
@_metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Drain the broker once.

    Args:
        event: A schedule's says nothing. That of a broker task that stops brings its address,
            which the endpoint's name does not stand for any more.
        context: Lambda's.

    Raises:
        TransientError: The schedule's retry policy runs it again; nothing is lost.
    """
    report = _use_case().run(remaining_s(context), _stopping(event))
    _metrics.add_metric("MessagesReceived", MetricUnit.Count, report.messages)
    _metrics.add_metric("ReadingsParsed", MetricUnit.Count, report.readings)
    _metrics.add_metric("EventsParsed", MetricUnit.Count, report.events)
    _metrics.add_metric("MessagesRefused", MetricUnit.Count, report.refusals)
    _metrics.add_metric("CommandAnswers", MetricUnit.Count, report.answers)
    _metrics.add_metric("MessagesHeld", MetricUnit.Count, report.held)
    _metrics.add_metric("UplinksWaiting", MetricUnit.Count, report.waiting)
    _metrics.add_metric("SessionsCreated", MetricUnit.Count, report.sessions_created)
    if report.sessions_created:
        _log.warning("ingest_session_created", sessions=report.sessions_created)
    if report.messages:
        _log.info(
            "broker_drained",
            messages=report.messages,
            readings=report.readings,
            events=report.events,
            refusals=report.refusals,
            answers=report.answers,
            held=report.held,
            waiting=report.waiting,
            batches=report.batches,
            drained=report.drained,
        )
    return asdict(report)


def _stopping(event: dict[str, Any]) -> list[str]:
    """Return the addresses of the task in an "ECS Task State Change"; none in any other event."""
    return [
        detail["value"]
        for attachment in event.get("detail", {}).get("attachments", [])
        for detail in attachment.get("details", [])
        if detail["name"] == "privateIPv4Address"
    ]
