"""What Lambda would tell a handler of its invocation."""

import threading
import time
from uuid import uuid4

from plumbline.topology import Function


class LocalContext:
    """The context of one invocation on this machine.

    Args:
        function: Whose timeout is the deadline.
        stop: Once set, no time is left: a run ends at its next safe point.
    """

    def __init__(self, function: Function, stop: threading.Event) -> None:
        self.function_name = function.name
        self.memory_limit_in_mb = function.memory_mb
        self.invoked_function_arn = f"arn:aws:lambda:local:000000000000:function:{function.name}"
        self.aws_request_id = str(uuid4())
        self._deadline = time.monotonic() + function.timeout_s
        self._stop = stop

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left until the function's timeout; 0 while stopping."""
        if self._stop.is_set():
            return 0
        return max(0, int((self._deadline - time.monotonic()) * 1000))
