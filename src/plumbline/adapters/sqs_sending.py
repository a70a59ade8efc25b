"""In which requests a sequence of messages goes to SQS, and what becomes of each."""

import heapq
import time
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

from plumbline.adapters.sending import hold, size_bytes
from plumbline.ports import OutgoingMessage, SendFailure

REQUEST_ENTRIES = 10
MAX_REQUEST_BYTES = 262_144

_Group: TypeAlias = str | int | None


class Sending:
    """Keeps the order of every group over failures of single entries.

    SQS may accept one entry of a request and refuse an earlier one. So a request holds one message
    of a group at most, and the group's next one goes only after it was accepted. Groups do not
    wait for each other. On a standard queue every message is a group of its own.

    Args:
        messages: What is sent.
        indices: Which of them, ascending.
        retry_delays_s: Waits before an entry is tried again.
        fifo: Whether groups have an order.
    """

    def __init__(
        self,
        messages: Sequence[OutgoingMessage],
        indices: Sequence[int],
        retry_delays_s: Sequence[float],
        *,
        fifo: bool,
    ) -> None:
        self.failures: list[SendFailure] = []
        self._messages = messages
        self._retry_delays_s = retry_delays_s
        self._fifo = fifo
        self._attempts: dict[int, int] = {}
        self._groups: dict[_Group, deque[int]] = {}
        for index in indices:
            self._groups.setdefault(self._group(index), deque()).append(index)
        self._ready = [group[0] for group in self._groups.values()]
        self._delayed: list[tuple[float, int]] = []

    def next_request(self) -> list[int]:
        """Return the indices of the next request, waiting for a retry if need be; [] at the end.

        Every one of them must be settled before the next call.
        """
        if not self._ready and self._delayed:
            time.sleep(max(0.0, self._delayed[0][0] - time.monotonic()))
        while self._delayed and (self._delayed[0][0] <= time.monotonic() or not self._ready):
            heapq.heappush(self._ready, heapq.heappop(self._delayed)[1])
        request: list[int] = []
        left_bytes = MAX_REQUEST_BYTES
        while self._ready and len(request) < REQUEST_ENTRIES:
            left_bytes -= size_bytes(self._messages[self._ready[0]])
            if left_bytes < 0:
                break
            request.append(heapq.heappop(self._ready))
        return request

    def accepted(self, index: int) -> None:
        """Let the next message of the group go."""
        group = self._groups[self._group(index)]
        group.popleft()
        if group:
            heapq.heappush(self._ready, group[0])

    def failed(self, failure: SendFailure) -> None:
        """Try the entry again later, or give it up and hold back the rest of its group."""
        attempt = self._attempts.get(failure.index, 0)
        if not failure.sender_fault and attempt < len(self._retry_delays_s):
            self._attempts[failure.index] = attempt + 1
            due_s = time.monotonic() + self._retry_delays_s[attempt]
            heapq.heappush(self._delayed, (due_s, failure.index))
            return
        self.failures.append(failure)
        group = self._groups[self._group(failure.index)]
        group.popleft()
        self.failures += [hold(index) for index in group]
        group.clear()

    def _group(self, index: int) -> _Group:
        return self._messages[index].group_id if self._fifo else index
