"""What every handler shares: its context, its logger and its metrics."""

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics

from plumbline.topology import Function

NAMESPACE = "Plumbline"

# A run that fails has no metrics, and is in the log with its error.
warnings.filterwarnings("ignore", "No application metrics to publish", UserWarning)


class Context(Protocol):
    """The part of Lambda's context that the handlers use; the local runtime has its own."""

    function_name: str
    memory_limit_in_mb: int
    invoked_function_arn: str
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left until the invocation is ended."""
        ...


Handler = Callable[[dict[str, Any], Context], dict[str, Any]]


def load_handler(function: Function) -> Handler:
    """Import the function's handler."""
    module, _, attribute = function.handler.rpartition(".")
    handler: Handler = getattr(import_module(module), attribute)
    return handler


def remaining_s(context: Context) -> Callable[[], float]:
    """Return a function that tells the seconds left."""
    return lambda: context.get_remaining_time_in_millis() / 1000


def logger(function: str) -> Logger:
    """Return the function's structured logger."""
    return Logger(service=function)


def metrics(function: str) -> EphemeralMetrics:
    """Return the function's own metrics, printed in CloudWatch's embedded metric format.

    Ephemeral: Powertools' other kind keeps one set for the whole process, in which the functions of
    the local runtime, one thread each, would mix.
    """
    return EphemeralMetrics(namespace=NAMESPACE, service=function)
