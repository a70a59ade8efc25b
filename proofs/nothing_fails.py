"""A planted mistake of both the simulation and the running system."""

from collections.abc import Sequence
from typing import Any

from plumbline.ports import OutgoingMessage, Queue, SendFailure


class NothingFails:
    """A queue whose refusals nobody hears of."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a queue has
        return getattr(self._queue, name)

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        """Send, and say that all was accepted."""
        self._queue.send(messages)
        return []
