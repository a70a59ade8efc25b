"""From the FIFO queue to the queues behind it, by message type."""

from collections.abc import Mapping, Sequence

from plumbline.codecs.queue_message import (
    COMMAND_EVENT,
    DEVICE_EVENT,
    READING,
    RECEIPT,
    REFUSAL,
    forward,
    message_type,
)
from plumbline.errors import InvalidMessage
from plumbline.ports import OutgoingMessage, Queue, QueueMessage

ROUTES: Mapping[str, str] = {
    READING: "db1",
    DEVICE_EVENT: "db1",
    REFUSAL: "db1",
    RECEIPT: "db1",
    COMMAND_EVENT: "db1",
}
"""Message type to queue; more types and queues are more lines here."""


class Distribute:
    """Routes a batch of the FIFO queue."""

    def __init__(self, queues: Mapping[str, Queue]) -> None:
        self._queues = queues

    def run(self, messages: Sequence[QueueMessage]) -> dict[str, str]:
        """Forward the messages.

        Args:
            messages: In the order of the queue.

        Returns:
            Message id to reason, of those that must be received again: a message that could not
            be forwarded, and all later ones of its group, so that the group's order holds.

        Raises:
            QueueUnavailable: Nothing is known of the batch; all of it must be received again.
        """
        reasons: dict[int, str] = {}
        batches: dict[str, list[tuple[int, OutgoingMessage]]] = {name: [] for name in self._queues}
        blocked: set[str] = set()
        for index, message in enumerate(messages):
            if blocked and message.group_id in blocked:
                continue
            try:
                batches[ROUTES[message_type(message)]].append((index, forward(message)))
            except InvalidMessage as error:
                reasons[index] = str(error)
                if message.group_id is not None:
                    blocked.add(message.group_id)
        for name, batch in batches.items():
            if batch:
                for failure in self._queues[name].send([outgoing for _, outgoing in batch]):
                    reasons[batch[failure.index][0]] = f"{failure.code}: {failure.detail}"
        return _with_later_of_group(messages, reasons)


def _with_later_of_group(
    messages: Sequence[QueueMessage], reasons: Mapping[int, str]
) -> dict[str, str]:
    failed: dict[str, str] = {}
    if not reasons:
        return failed
    blocked: set[str] = set()
    for index, message in enumerate(messages):
        if index in reasons:
            failed[message.message_id] = reasons[index]
            if message.group_id is not None:
                blocked.add(message.group_id)
        elif message.group_id in blocked:
            failed[message.message_id] = "behind a failed message of its group"
    return failed
