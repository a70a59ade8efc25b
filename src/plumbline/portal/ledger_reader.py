"""The account of every delivery, for many who ask."""

import asyncio

from starlette.concurrency import run_in_threadpool

from plumbline.adapters.postgres.ledger import PostgresLedger
from plumbline.domain.ledger import LedgerAccount


class LedgerReader:
    """Makes one account at a time: each reads all that is in the queues.

    Args:
        ledger: For one thread at a time.
    """

    def __init__(self, ledger: PostgresLedger) -> None:
        self._ledger = ledger
        self._lock = asyncio.Lock()

    async def account(self, device_id: str | None) -> LedgerAccount:
        """Return the account of one device or of all.

        Raises:
            StoreUnavailable: The database cannot serve.
        """
        async with self._lock:
            return await run_in_threadpool(self._ledger.account, device_id)
