"""One radio frame that comes several times is one: the later receptions take the first one's time.

A network server gives each reception of a frame a time of its own. With the time of what is stored
already they meet it at its unique key, and are duplicates like all others.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from plumbline.adapters.postgres.binary_arrays import Doubles, Moments, Texts, Uuids
from plumbline.adapters.postgres.queries import load
from plumbline.domain.delivery import SAME_FRAME_WITHIN, DeliveredReading
from plumbline.domain.reading import Reading
from plumbline.domain.signal import strength

_SQL = load("frames.sql")


class Reception(NamedTuple):
    """One delivery of a frame, and when it says that it was."""

    delivery_id: UUID
    device_id: str
    frame: UUID
    at: datetime


def first_times(
    connection: psycopg.Connection[Any], kind: str, receptions: Sequence[Reception]
) -> dict[UUID, datetime]:
    """Return the time that each delivery should have: of the first reception of its frame.

    That is what is stored, else the first received of these: the one that will be stored keeps its
    own time, by which the ledger looks for it. A delivery whose own time is stored with its frame
    keeps it, too.

    Args:
        connection: In the transaction that stores them.
        kind: ``reading`` or ``event``.
        receptions: Any, in any order.
    """
    moments = [one.at for one in receptions]
    stored = dict(
        connection.execute(
            _SQL[f"find_{kind}_frames"],
            {
                "delivery_id": Uuids([one.delivery_id for one in receptions]),
                "device_id": Texts([one.device_id for one in receptions]),
                "frame": Uuids([one.frame for one in receptions]),
                "at": Moments(moments),
                "within": SAME_FRAME_WITHIN,
                "first": min(moments) - SAME_FRAME_WITHIN,
                "last": max(moments) + SAME_FRAME_WITHIN,
            },
        ).fetchall()
    )
    times: dict[UUID, datetime] = {}
    first: dict[tuple[str, UUID], datetime] = {}
    for one in sorted(receptions, key=lambda one: one.delivery_id.int):
        at = stored.get(one.delivery_id)
        if at is None:
            at = first.get((one.device_id, one.frame), one.at)
            if abs(one.at - at) > SAME_FRAME_WITHIN:
                at = one.at
            first[one.device_id, one.frame] = at
        times[one.delivery_id] = at
    return times


def keep_best_reception(
    connection: psycopg.Connection[Any], duplicates: Iterable[DeliveredReading]
) -> None:
    """Give stored readings the signal of a duplicate that was heard better.

    Rows are locked in order. A signal is better by its ratio to the noise, then by its strength.
    """
    best: dict[tuple[str, datetime], Reading] = {}
    for delivered in duplicates:
        reading = delivered.reading
        if delivered.frame is None or (reading.rssi_dbm is None and reading.snr_db is None):
            continue
        key = (reading.device_id, reading.observed_at)
        known = best.setdefault(key, reading)
        if strength(reading.snr_db, reading.rssi_dbm) > strength(known.snr_db, known.rssi_dbm):
            best[key] = reading
    if not best:
        return
    rows = list(best.values())
    moments = [reading.observed_at for reading in rows]
    connection.execute(
        _SQL["keep_best_reception"],
        {
            "device_id": Texts([reading.device_id for reading in rows]),
            "timestamp": Moments(moments),
            "rssi": Doubles([reading.rssi_dbm for reading in rows]),
            "snr": Doubles([reading.snr_db for reading in rows]),
            "first": min(moments),
            "last": max(moments),
        },
    )
