"""The account of every delivery, for many who ask."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from plumbline.adapters.postgres.async_database import AsyncDatabase
from plumbline.adapters.postgres.queries import load
from plumbline.domain.ledger import LedgerAccount
from plumbline.ports import Ledger

_SQL = load("portal.sql")


class LedgerReader:
    """Makes one account at a time: each reads all that is in the queues.

    Args:
        database: Knows whether it answers at all, before a thread waits for it.
        ledger: For one thread at a time.
    """

    def __init__(self, database: AsyncDatabase, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger
        # Not of the shared ones, whose work cannot be left: a database that hangs must hang nobody.
        self._thread = ThreadPoolExecutor(1, "ledger")

    async def account(self, device_id: str | None) -> LedgerAccount:
        """Return the account of one device or of all.

        Raises:
            StoreUnavailable: The database cannot serve.
            QueueUnavailable: The queues are elsewhere, and cannot be counted.
        """
        await self._database.fetch(_SQL["alive"])
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._ledger.account, device_id)
