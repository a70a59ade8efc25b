"""`plumbline --function NAME …`: has the function `operate` run the command."""

import json
import sys
from typing import TYPE_CHECKING, Any

import boto3
import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from plumbline.errors import FunctionUnavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# A repetition would do twice what was asked once.
_CONFIG = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=130)
_READS_STDIN = "--password-stdin"


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def remote(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Send the arguments to the function, and print what came back."""
    event: dict[str, Any] = {"arguments": list(arguments)}
    if _READS_STDIN in arguments:
        event["stdin"] = sys.stdin.read()
    answer = _invoke(ctx.find_root().params["function"], event)
    click.echo(answer["stdout"], nl=False)
    click.echo(answer["stderr"], nl=False, err=True)
    ctx.exit(answer["exit_code"])


def _invoke(function: str, event: dict[str, Any]) -> dict[str, Any]:
    try:
        client: LambdaClient = boto3.client("lambda", config=_CONFIG)
        response = client.invoke(FunctionName=function, Payload=json.dumps(event).encode())
        answer: dict[str, Any] = json.loads(response["Payload"].read())
    except (BotoCoreError, ClientError, ValueError) as error:
        msg = f"the function {function} cannot be invoked: {error}"
        raise FunctionUnavailable(msg) from error
    if response.get("FunctionError"):
        msg = f"the function {function} failed: {answer.get('errorMessage', answer)}"
        raise FunctionUnavailable(msg)
    return answer
