"""Lambda_LoRaWAN_Command: from the queue `lorawan-command` to the network servers."""

from typing import Any

from plumbline import bootstrap
from plumbline.lambdas.command_report import tell
from plumbline.lambdas.runtime import Context, logger, metrics, remaining_s
from plumbline.lambdas.sqs_event import batch_response, messages_of

_log = logger("lorawan_command")
_metrics = metrics("lorawan_command")
_use_case = bootstrap.once_a_thread(bootstrap.send_lorawan_commands)


@_log.inject_lambda_context
@_metrics.log_metrics
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Publish one batch; a failed command holds back its device's later ones.

    Raises:
        BrokerUnavailable, QueueUnavailable: The whole batch comes again.
    """
    report = _use_case().run(messages_of(event), remaining_s(context))
    tell(report, _log, _metrics)
    return batch_response(report.failed)
