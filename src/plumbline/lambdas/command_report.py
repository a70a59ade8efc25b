"""What both command functions say of a batch."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from plumbline.application.send_command import SendReport
from plumbline.domain.command_event import CommandEventKind


def tell(report: SendReport, log: Logger, metrics: EphemeralMetrics) -> None:
    """Count what became of the commands, and log it."""
    counts = {
        "CommandsSent": report.events[CommandEventKind.SENT],
        "CommandsUndelivered": report.events[CommandEventKind.UNDELIVERED],
        "CommandsExpired": report.events[CommandEventKind.EXPIRED],
        "CommandsFailed": report.events[CommandEventKind.FAILED],
        "MessagesFailed": len(report.failed),
    }
    for name, count in counts.items():
        metrics.add_metric(name, MetricUnit.Count, count)
    log.info(
        "commands_sent",
        events={kind.value: count for kind, count in sorted(report.events.items())},
        withdrawn=report.withdrawn,
        failed=len(report.failed),
    )
    if report.given_up:
        log.warning("withdrawals_given_up", commands=report.given_up)
    if report.failed:
        log.warning("messages_failed", reasons=sorted(set(report.failed.values())))
