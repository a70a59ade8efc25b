"""Receipt handles, and the leases that they are good for."""

import re
from collections.abc import Sequence

import psycopg

from plumbline.adapters.postgres.queue_statements import Row, execute

# A receipt handle has a receipt id and a message's id, with a colon between.
_RECEIPT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MESSAGE_ID = re.compile(r"[0-9]{1,18}")


def withdraw(
    cursor: psycopg.Cursor[Row],
    queue_id: int,
    receipt_handles: Sequence[str],
    *,
    visibility_s: float | None = None,
) -> tuple[list[list[int]], list[str]]:
    """Take messages out of their leases, in the transaction that is open.

    Args:
        cursor: Of that transaction.
        queue_id: Whose messages they must be.
        receipt_handles: Of any receives.
        visibility_s: Put them under new leases that end after this; their handles stay good.

    Returns:
        The ids of the messages taken, ascending, for each lease that had any; and the handles
        that are good for nothing (any more).
    """
    receipts, expired = _by_receipt(receipt_handles)
    taken: list[list[int]] = []
    for receipt_id, handles in receipts:
        left = dict(handles)
        leases = execute(cursor, "open_leases", receipt_id=receipt_id, queue_id=queue_id)
        for lease_id, leased in leases:
            ids = [message for message in leased if message in handles]
            if ids:
                kept = [message for message in leased if message not in handles]
                if visibility_s is not None:
                    execute(
                        cursor, "lease_on", lease_id=lease_id, ids=ids, visibility_s=visibility_s
                    )
                if kept:
                    execute(cursor, "shrink_lease", lease_id=lease_id, ids=kept)
                else:
                    execute(cursor, "close_lease", lease_id=lease_id)
                taken.append(ids)
                for message in ids:
                    del left[message]
        expired += left.values()
    return taken, expired


def _by_receipt(
    receipt_handles: Sequence[str],
) -> tuple[list[tuple[str, dict[int, str]]], list[str]]:
    """Return the handles by receipt and message, and those that are none.

    The receipts are sorted: two callers that lock the same ones in one order cannot deadlock.
    """
    receipts: dict[str, dict[int, str]] = {}
    foreign: list[str] = []
    for handle in receipt_handles:
        receipt_id, _, message_id = handle.partition(":")
        if not _MESSAGE_ID.fullmatch(message_id):
            foreign.append(handle)
        elif (known := receipts.get(receipt_id)) is not None:
            known[int(message_id)] = handle
        elif _RECEIPT_ID.fullmatch(receipt_id):
            receipts[receipt_id] = {int(message_id): handle}
        else:
            foreign.append(handle)
    return sorted(receipts.items()), foreign
