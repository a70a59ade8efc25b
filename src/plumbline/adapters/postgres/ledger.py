"""The ledger's account and its folding, on PostgreSQL."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import psycopg

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queries import load
from plumbline.adapters.postgres.queued_deliveries import find_queued_deliveries
from plumbline.domain.ledger import Accountant, BatchEntries, LedgerAccount, Outcome

_SQL = load("ledger.sql")
_ENTRIES_AT_ONCE = 200  # an entry may name a thousand devices

_COMPLETE_FOR = timedelta(minutes=1)
# Longer than any queue keeps a message: nothing more can come of an interrupted batch.
_UNRECEIPTED_FOR = timedelta(days=15)

_Connection = psycopg.Connection[Any]


class PostgresLedger:
    """See ``ports.Ledger``; for one thread.

    The deliveries in flight are those of the queues in this database. Where the queues are
    elsewhere, they show as mismatches until their outcome is in; see ``LedgerWithQueues``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def account(self, device_id: str | None = None) -> LedgerAccount:
        """Return the account of one device or of all, from one snapshot.

        Raises:
            StoreUnavailable: The database cannot serve.
        """
        accountant = Accountant()
        with self._database.connection() as connection, connection.transaction():
            connection.execute(_SQL["begin_snapshot"])
            for messages, interrupted in connection.execute(_SQL["summary"]):
                accountant.add_folded(messages, interrupted)
            for device, received, *counts in connection.execute(_SQL["totals"]):
                named = zip((outcome.value for outcome in Outcome), counts, strict=True)
                accountant.add_total(device, received, dict(named))
            queued = find_queued_deliveries(connection)
            unnamed = queued.batches()
            for entries, _, _ in _batches(connection):
                unnamed.discard(entries.batch_id)
                accountant.add_batch(
                    entries,
                    queued.in_flight.get(entries.batch_id, {}),
                    queued.dead_lettered.get(entries.batch_id, {}),
                    receipt_under_way=entries.batch_id in queued.receipts,
                )
            for batch_id in unnamed:
                accountant.add_batch(
                    BatchEntries(batch_id),
                    queued.in_flight.get(batch_id, {}),
                    queued.dead_lettered.get(batch_id, {}),
                    receipt_under_way=batch_id in queued.receipts,
                )
        return accountant.account(device_id)

    def fold(self, now: datetime) -> int:
        """Move batches that nothing more can come of into the totals; return how many.

        Complete ones after a minute, those without a receipt after 15 days.

        Raises:
            StoreUnavailable: Nothing was moved.
        """
        accountant = Accountant()
        folded: list[BatchEntries] = []
        entry_ids: list[int] = []
        with self._database.connection() as connection, connection.transaction():
            connection.execute(_SQL["lock_folding"])
            for entries, ids, recorded_at in _batches(connection):
                if _is_foldable(entries, now - recorded_at):
                    accountant.add_batch(entries, {}, {}, receipt_under_way=False)
                    folded.append(BatchEntries(entries.batch_id, entries.items))
                    entry_ids += ids
            if folded:
                _write_totals(connection, accountant.account())
                connection.execute(
                    _SQL["add_folded"],
                    {
                        "batch_id": [entries.batch_id for entries in folded],
                        "receipted": [entries.items is not None for entries in folded],
                    },
                )
                connection.execute(_SQL["delete_entries"], {"ids": entry_ids})
        return len(folded)


def _batches(connection: _Connection) -> Iterator[tuple[BatchEntries, list[int], datetime]]:
    """Yield the entries of each batch, their ids, and when the newest was recorded."""
    with connection.cursor(name="ledger_entries") as cursor:
        cursor.itersize = _ENTRIES_AT_ONCE
        cursor.execute(_SQL["entries"])
        for batch_id, rows in groupby(cursor, key=lambda row: row[0]):
            entries = BatchEntries(batch_id)
            ids = []
            recorded: list[datetime] = []
            for _, entry_id, kind, messages, counts, recorded_at, folded in rows:
                entries.folded = folded
                if kind == "receipt":
                    entries.receive(counts, messages)
                else:
                    entries.outcomes.append(counts)
                ids.append(entry_id)
                recorded.append(recorded_at)
            yield entries, ids, max(recorded)


def _is_foldable(entries: BatchEntries, unchanged_for: timedelta) -> bool:
    if entries.folded is True:
        # A stray receipt says nothing; an outcome too many must stay in sight.
        return not entries.outcomes
    if entries.items is None:
        return unchanged_for >= _UNRECEIPTED_FOR
    return unchanged_for >= _COMPLETE_FOR and entries.is_complete()


def _write_totals(connection: _Connection, account: LedgerAccount) -> None:
    balances = account.devices.values()
    connection.execute(
        _SQL["add_totals"],
        {
            "device_id": list(account.devices),
            "received": [b.received for b in balances],
            "stored": [b.stored for b in balances],
            "duplicate": [b.duplicates for b in balances],
            "conflict": [b.conflicts for b in balances],
            "quarantined": [b.quarantined for b in balances],
            "discarded": [b.discarded for b in balances],
        },
    )
    connection.execute(
        _SQL["add_summary"],
        {"messages": account.messages, "interrupted": account.interrupted_batches},
    )
