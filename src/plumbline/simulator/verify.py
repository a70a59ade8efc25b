"""Holds a truth file against the database."""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg

from plumbline.errors import StoreUnavailable
from plumbline.simulator.verify_load import CLOCK_TOLERANCE, TruthLoader
from plumbline.simulator.verify_report import Difference, VerifyReport

CHECKS = (
    "missing",
    "different",
    "repeated",
    "unknown",
    "conflict",
    "order",
    "quarantine",
    "status",
)
"""Names of the checks, each a statement of ``verify.sql``."""

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def verify(
    truth_path: Path,
    database_url: str,
    *,
    check_order: bool = True,
    limit: int = 10,
    clock_tolerance: timedelta = CLOCK_TOLERANCE,
) -> VerifyReport:
    """Compare what the simulated devices published with what is stored.

    Args:
        truth_path: Written by `run_simulation`; may hold several runs.
        database_url: ``postgresql://…``; a role that may read and create temporary tables.
        check_order: Whether ids must grow in the order of publishing. A standard queue may store
            a batch that it had to try again after later ones; then this is not asked.
        limit: Differences to return of each check; all are counted.
        clock_tolerance: How far the receiver's clock may have been behind the simulator's.

    Raises:
        ConfigurationError: The file cannot be read, or is none.
        StoreUnavailable: The database cannot be reached.
    """
    report = VerifyReport()
    checks = [check for check in CHECKS if check_order or check != "order"]
    try:
        with psycopg.connect(database_url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            _compare(connection, TruthLoader(truth_path, report, clock_tolerance), checks, limit)
            connection.rollback()
    except psycopg.OperationalError as error:
        raise StoreUnavailable(str(error).partition("\n")[0]) from error
    return report


def _compare(
    connection: psycopg.Connection, truth: TruthLoader, checks: Sequence[str], limit: int
) -> None:
    sql, report = _statements(), truth.report
    for name in ("settings", "create_truth", "create_truth_malformed", "create_truth_period"):
        connection.execute(sql[name])
    _copy(connection, sql["copy_truth"], truth.readings())
    _copy(connection, sql["copy_truth_malformed"], truth.malformed())
    _copy(connection, sql["copy_truth_period"], truth.periods)
    connection.execute(sql["analyze"])
    parameters = {
        "first": truth.first_at,
        "last": truth.last_at,
        "received_from": truth.received_from,
        "limit": limit,
    }
    counts = connection.execute(sql["count_stored"], parameters).fetchone()
    report.stored, report.unacknowledged_stored = counts or (0, 0)
    for check in checks:
        rows = connection.execute(sql[check], parameters).fetchall()
        report.found[check] = rows[0][-1] if rows else 0
        report.differences += [Difference(check, *row[:-1]) for row in rows]


def _copy(
    connection: psycopg.Connection, statement: LiteralString, rows: Iterable[tuple[Any, ...]]
) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


@cache
def _statements() -> dict[str, LiteralString]:
    """Return the statements of ``verify.sql`` by name."""
    text = (files("plumbline.simulator") / "verify.sql").read_text("utf-8")
    parts = _NAME.split(text)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {name: cast("LiteralString", sql.strip()) for name, sql in pairs}
