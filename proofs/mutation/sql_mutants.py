"""Mistakes in the SQL of the writer and the ledger, by hand: what is not Python is not parsed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SqlMutant:
    """One change of one statement; ``old`` stands in it."""

    file: str
    statement: str
    old: str
    new: str


def _of(file: str, statement: str, *changes: tuple[str, str]) -> list[SqlMutant]:
    return [SqlMutant(file, statement, old, new) for old, new in changes]


WRITER: Sequence[SqlMutant] = [
    *_of(
        "readings.sql",
        "insert_readings",
        ('ON CONFLICT (device_id, "timestamp") DO NOTHING', ""),
        ("count(*) < cardinality", "count(*) > cardinality"),
        ("count(*) < cardinality", "count(*) <= cardinality"),
        ("%(tilt_x)b::float8[]", "%(tilt_y)b::float8[]"),
        ("%(rssi)b::float8[]", "%(snr)b::float8[]"),
    ),
    *_of(
        "readings.sql",
        "classify_readings",
        ("IS NOT DISTINCT FROM", "="),
        ("IS NOT DISTINCT FROM", "IS DISTINCT FROM"),
        ("(s.tilt_angle, s.status,", "(i.tilt_angle, s.status,"),
        ("s.status, s.battery_level", "i.status, s.battery_level"),
        ("s.battery_level, s.tilt_x", "i.battery_level, s.tilt_x"),
        ("s.temperature,", "i.temperature,"),
        ("s.sequence, s.extra)", "i.sequence, s.extra)"),
        ("s.sequence, s.extra)", "s.sequence, i.extra)"),
        ('device_id = i.device_id AND "timestamp" = i."timestamp"', "device_id = i.device_id"),
        ('device_id = i.device_id AND "timestamp" = i."timestamp"', '"timestamp" = i."timestamp"'),
        ("s.delivery_id <> i.delivery_id", "true"),
        ("s.delivery_id <> i.delivery_id", "s.delivery_id = i.delivery_id"),
    ),
    *_of("readings.sql", "accounted_deliveries", ("= ANY", "<> ALL"), ("WHERE", "WHERE false AND")),
    *_of("readings.sql", "insert_duplicates", ("ON CONFLICT (delivery_id) DO NOTHING", "")),
    *_of("readings.sql", "insert_conflicts", ("ON CONFLICT (delivery_id) DO NOTHING", "")),
    *_of(
        "readings.sql",
        "upsert_statuses",
        ("WHERE d.last_seen < excluded.last_seen", ""),
        ("d.last_seen < excluded", "d.last_seen > excluded"),
        ("d.last_seen < excluded", "d.last_seen <= excluded"),
        ("last_seen = excluded.last_seen", "last_seen = d.last_seen"),
        ("current_status = excluded.current_status", "current_status = d.current_status"),
        ("tilt_angle = excluded.tilt_angle", "tilt_angle = d.tilt_angle"),
        ("battery_level = excluded.battery_level", "battery_level = d.battery_level"),
        (", updated_at = now()", ""),
    ),
    *_of("readings.sql", "insert_quarantine", ("ON CONFLICT (delivery_id) DO NOTHING", "")),
    *_of(
        "readings.sql",
        "insert_quarantine_parts",
        ("ON CONFLICT (delivery_id, part) DO NOTHING", ""),
        ("WHERE EXISTS", "WHERE true OR EXISTS"),
        ("WHERE EXISTS", "WHERE NOT EXISTS"),
    ),
    *_of(
        "frames.sql",
        "find_reading_frames",
        ("device_id = i.device_id AND frame = i.frame", "frame = i.frame"),
        ("device_id = i.device_id AND frame = i.frame", "device_id = i.device_id"),
        ("i.at + %(within)b::interval", "i.at"),
        ("i.at - %(within)b::interval", "i.at"),
        ('"timestamp" <> i.at, "timestamp"', '"timestamp" DESC'),
    ),
    *_of(
        "frames.sql",
        "keep_best_reception",
        ("> (coalesce", "< (coalesce"),
        ("(coalesce(i.snr, '-infinity'), ", "("),
        ("rssi = better.rssi, snr", "snr"),
    ),
]

LEDGER: Sequence[SqlMutant] = [
    *_of(
        "readings.sql",
        "insert_receipts",
        ("ON CONFLICT (batch_id) WHERE kind = 'receipt' DO NOTHING", ""),
        ("WHERE NOT EXISTS (SELECT FROM ledger_folded f WHERE f.batch_id = i.batch_id)", ""),
    ),
    *_of("readings.sql", "insert_outcomes", ("'outcome'", "'receipt'")),
    *_of("ledger.sql", "entries", ("LEFT JOIN", "JOIN"), ("ORDER BY e.batch_id", "ORDER BY e.id")),
    *_of(
        "ledger.sql",
        "with_outcome",
        ("s.delivery_id = i.delivery_id", "true"),
        ("s.delivery_id = i.delivery_id", "false"),
        ("UNION ALL", "EXCEPT"),
    ),
    *_of("ledger.sql", "queued_messages", ("= ANY", "<> ALL")),
    *_of(
        "ledger.sql",
        "add_totals",
        ("received = t.received + excluded.received", "received = excluded.received"),
        ("t.stored + excluded.stored", "t.stored"),
        ("t.duplicate + excluded.duplicate", "excluded.duplicate"),
        ("t.conflict + excluded.conflict", "excluded.conflict"),
        ("t.quarantined + excluded.quarantined", "excluded.quarantined"),
        ("t.discarded + excluded.discarded", "excluded.discarded"),
    ),
    *_of(
        "ledger.sql",
        "add_summary",
        ("messages + %(messages)s", "messages"),
        ("interrupted + %(interrupted)s", "interrupted"),
    ),
    *_of("ledger.sql", "delete_entries", ("WHERE id", "WHERE false AND id"), ("= ANY", "<> ALL")),
]

SQL: Mapping[str, Sequence[SqlMutant]] = {"writer": WRITER, "ledger": LEDGER}
