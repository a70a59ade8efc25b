"""Many messages in one row: how a block is written, read, and taken apart."""

from bisect import bisect_left
from collections.abc import Sequence

import msgspec
import psycopg

from plumbline.adapters.postgres.binary_arrays import Texts
from plumbline.adapters.postgres.queue_statements import Row, execute
from plumbline.ports import OutgoingMessage, QueueMessage

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[str | None, str | None, dict[str, str], str]]).decode

MAX_MESSAGES = 1000
"""In a block; between two ids that are given are as many."""


def insert_block(
    cursor: psycopg.Cursor[Row], queue_id: int, messages: Sequence[OutgoingMessage], *, fifo: bool
) -> bool:
    """Send the messages as one block, in the transaction that is open.

    Args:
        cursor: Of that transaction, which holds the lock of the queue's senders.
        queue_id: Of the queue.
        messages: In order, at most MAX_MESSAGES; of a FIFO queue, no deduplication id twice.
        fifo: Whether they have deduplication ids.

    Returns:
        False where nothing was sent, as the ids must be looked at one by one.
    """
    ids = Texts([message.deduplication_id for message in messages])
    if fifo:
        ((known,),) = execute(cursor, "is_any_known", queue_id=queue_id, deduplication_ids=ids)
        if known:
            return False
        contents = [(m.group_id, m.deduplication_id, m.attributes, m.body) for m in messages]
    else:
        contents = [(None, None, m.attributes, m.body) for m in messages]
    execute(
        cursor,
        "insert_block",
        queue_id=queue_id,
        messages=len(messages),
        content=_encode(contents).decode(),
    )
    if fifo:
        execute(cursor, "remember_block", queue_id=queue_id, deduplication_ids=ids)
        execute(cursor, "forget_blocks", queue_id=queue_id)
    return True


def messages_of(row: Row, *, fifo: bool) -> list[QueueMessage]:
    """Make the messages of a block that was received whole: a row of ``pick_in_order``."""
    content, receipt_id, first_id, identity, *_, sent_at, first_received_at, receive_count, _ = row
    prefix = identity[:-8]  # a message's id is the block's with the index in place of the rest
    return [
        QueueMessage(
            message_id=f"{prefix}{index:08x}",
            receipt_handle=f"{receipt_id}:{first_id + index}",
            body=body,
            attributes=attributes,
            group_id=group_id,
            deduplication_id=deduplication_id,
            sequence_number=str(first_id + index) if fifo else None,
            sent_at=sent_at,
            first_received_at=first_received_at,
            receive_count=receive_count,
        )
        for index, (group_id, deduplication_id, attributes, body) in enumerate(_decode(content))
    ]


def take_out_blocks(
    cursor: psycopg.Cursor[Row], queue_id: int, ids: list[int], *, whole: bool
) -> tuple[list[int], list[int]]:
    """Find the blocks among messages, and make rows of what is not to stay one.

    Args:
        cursor: Of the transaction that is open.
        queue_id: Of the queue.
        ids: Of messages, ascending, at least one.
        whole: Leave the blocks of which all messages are named.

    Returns:
        The first ids of the blocks that were left, and the messages that are rows.
    """
    blocks: list[int] = []
    unpacked: list[int] = []
    rows: list[int] = []
    done = 0
    for first_id, messages in execute(
        cursor, "blocks_between", queue_id=queue_id, first_id=ids[0], last_id=ids[-1]
    ):
        begin, end = bisect_left(ids, first_id), bisect_left(ids, first_id + messages)
        if whole and end - begin == messages:
            blocks.append(first_id)
            rows += ids[done:begin]
            done = end
        elif end > begin:
            unpacked.append(first_id)
    unpack_blocks(cursor, queue_id, unpacked)
    return blocks, rows + ids[done:]


def unpack_blocks(cursor: psycopg.Cursor[Row], queue_id: int, first_ids: Sequence[int]) -> None:
    """Make rows of the messages of blocks."""
    if first_ids:
        execute(cursor, "unpack_blocks", queue_id=queue_id, first_ids=list(first_ids))
