"""The function `operate`: the command line inside the VPC, where nobody else can reach.

Whoever may invoke it may do what an administrator may. Event: ``arguments``, a list as a shell
would make it, and optionally ``stdin``. Answer: ``exit_code``, ``stdout``, ``stderr``.
"""

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from plumbline.cli.main import run
from plumbline.lambdas.runtime import Context, logger

ALLOWED = (
    "command",
    "db",
    "device",
    "ledger",
    "network-server",
    "quarantine",
    "settings",
    "token",
    "user",
)
"""What works on the deployment's data; the others start things, or speak with this machine."""
_WAITS = "--wait"

_log = logger("operate")


@_log.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Run one command."""
    arguments = [str(argument) for argument in event.get("arguments", [])]
    command = arguments[0] if arguments else ""
    if command not in ALLOWED:
        known = ", ".join(ALLOWED)
        return _answer(2, "", f"plumbline: {command or 'nothing'} cannot be run there: {known}\n")
    if _WAITS in arguments:
        # A command lives longer than an invocation, which would end in the middle of it.
        return _answer(2, "", f"plumbline: {_WAITS} cannot be had there; `command show` tells\n")
    # Where the audit log has no user of a machine; AWS's own log says who invoked this.
    os.environ.setdefault("LOGNAME", "operate")
    out, err = io.StringIO(), io.StringIO()
    given = io.BytesIO(str(event.get("stdin", "")).encode())
    keyboard, sys.stdin = sys.stdin, io.TextIOWrapper(given, "utf-8")
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
    finally:
        sys.stdin = keyboard
    # Neither arguments nor answers: there are passwords among them.
    _log.info("command_run", command=command, exit_code=code)
    return _answer(code, out.getvalue(), err.getvalue())


def _answer(exit_code: int, stdout: str, stderr: str) -> dict[str, Any]:
    return {"exit_code": exit_code, "stdout": stdout, "stderr": stderr}
