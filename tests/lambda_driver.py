"""Runs one function of an unpacked archive as Lambda's runtime would.

``python -I -S lambda_driver.py TREE HANDLER``: imports the handler from TREE and the standard
library alone, then reads one event a line and answers with one line of JSON: ``result`` or
``error``, and how many requests to SQS that took. What the function prints goes to stderr.
"""

import importlib
import json
import sys
import time
from typing import Any

_TIMEOUT_S = 60.0


class _Context:
    """Lambda's, as far as the handlers use it."""

    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:test"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def __init__(self, function_name: str) -> None:
        self.function_name = function_name
        self._deadline_s = time.monotonic() + _TIMEOUT_S

    def get_remaining_time_in_millis(self) -> int:
        return int((self._deadline_s - time.monotonic()) * 1000)


def main() -> None:
    """Serve events until standard input ends."""
    tree, name = sys.argv[1:]
    sys.path.insert(0, tree)
    answers, sys.stdout = sys.stdout, sys.stderr
    module, _, attribute = name.rpartition(".")
    handler = getattr(importlib.import_module(module), attribute)
    requests = _count_requests()
    for line in sys.stdin:
        requests.clear()
        answer: dict[str, Any]
        try:
            answer = {"result": handler(json.loads(line), _Context(module))}
        except Exception as error:  # noqa: BLE001 - Lambda reports any
            answer = {"error": f"{type(error).__name__}: {error}"}
        answer["requests"] = len(requests)
        print(json.dumps(answer), file=answers, flush=True)


def _count_requests() -> list[object]:
    import boto3  # noqa: PLC0415 - the archive's

    requests: list[object] = []
    boto3.setup_default_session()
    session = boto3.DEFAULT_SESSION
    assert session is not None
    # Returns None: whatever else a listener returns is taken for the answer.
    session.events.register("before-send.sqs", lambda **_: requests.append(1))
    return requests


if __name__ == "__main__":
    main()
