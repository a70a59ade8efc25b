"""The account of every delivery, where the queues are elsewhere than what is stored."""

from collections.abc import Sequence

from plumbline.domain.ledger import LedgerAccount, with_queued
from plumbline.ports import CountedQueue, Ledger


class LedgerWithQueues:
    """See ``ports.Ledger``; what is in flight is known approximately.

    Args:
        stored: Receipts and outcomes.
        queues: All that deliveries are in, on their way from a receipt to an outcome.
    """

    def __init__(self, stored: Ledger, queues: Sequence[CountedQueue]) -> None:
        self._stored = stored
        self._queues = queues

    def account(self, device_id: str | None = None) -> LedgerAccount:
        """Return the account of one device or of all.

        Raises:
            StoreUnavailable: What is stored cannot be read.
            QueueUnavailable: The queues cannot be counted.
        """
        # Counted first: what gets its outcome meanwhile was counted, and is not lacking any more.
        before = self._count()
        stored = self._stored.account(device_id)
        account = with_queued(stored, *before, device_id)
        if account.balanced:
            return account
        # Once more, for what came into the queues meanwhile.
        in_flight, dead_lettered = map(max, before, self._count())
        return with_queued(stored, in_flight, dead_lettered, device_id)

    def _count(self) -> tuple[int, int]:
        """Return about how many messages are in the queues, and in their dead-letter queues."""
        return (
            sum(queue.depth().total for queue in self._queues),
            sum(queue.dead_letter_depth().total for queue in self._queues),
        )
