"""A fleet with 90 days of readings, made fast: each day is filled before it has indexes."""

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from queue import Empty, SimpleQueue

import psycopg
from psycopg import sql

from plumbline import bootstrap

DEVICES = 100
DAYS = 90
_SESSIONS = 2

_FLEET = """
INSERT INTO devices (device_id, protocol)
SELECT 'dev-' || d, 'mqtt' FROM generate_series(1, %(devices)s::int) d;
"""
_STATUSES = """
INSERT INTO device_status (device_id, last_seen, current_status, tilt_angle, battery_level)
SELECT 'dev-' || d, now(), 'normal', 1.2345, 87 FROM generate_series(1, %(devices)s::int) d;
"""
_COLUMNS = """device_id, "timestamp", tilt_angle, status, battery_level, tilt_x, tilt_y,
    temperature, rssi, snr, sequence, received_at, delivery_id"""
# The way they arrive: all devices at one time, then all at the next.
_READINGS = """
INSERT INTO {table} ({columns})
SELECT 'dev-' || d, t, round((10 * sin(n / 500.0) + random() / 100) * 10000) / 10000, 'normal', 87,
    random(), random(), 21.5, -97, 7.5, n, t, gen_random_uuid()
FROM (SELECT n, {end} - n * {step} AS t FROM generate_series({first}::int, {last}::int, -1) n) m,
     generate_series(1, {devices}) d
"""
_LARGE = """
INSERT INTO sensor_data ({columns})
SELECT {device}, now() - n * {step}, random(), 'normal', 87, random(), random(), 21.5, -97, 7.5, n,
    now(), gen_random_uuid()
FROM generate_series(1, {rows}) n
"""
_DAY_S = 86_400


def fill(database_url: str, rows: int) -> None:
    """Store a fleet and so many readings, spread over the last 90 days, and say how far it is."""
    end = datetime.now(UTC)
    days: SimpleQueue[date] = SimpleQueue()
    for number in range(DAYS + 1):
        days.put((end - timedelta(days=DAYS - number)).date())
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_FLEET, {"devices": DEVICES})
        connection.execute(_STATUSES, {"devices": DEVICES})
    step = timedelta(days=DAYS) / (rows // DEVICES)
    failures: list[Exception] = []

    def work() -> None:
        try:
            with psycopg.connect(database_url, autocommit=True) as connection:
                for day in _drained(days):
                    _fill_day(connection, day, end, step)
                    _show(f"{rows:,} readings: {DAYS + 1 - days.qsize()} of {DAYS + 1} days")
        except Exception as error:  # noqa: BLE001 - raised by whoever waits
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(_SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _show("")
    if failures:
        raise failures[0]


def summarise(database_url: str) -> None:
    """Summarise the days that have ended, as the maintenance does day by day."""
    while bootstrap.retention(database_url).run()["days_summarised"]:
        _show("summaries of past days")
    _show("")


def add_large_device(database_url: str, device_id: str, rows: int) -> None:
    """Store so many readings of one device, spread over the last 90 days."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO device_status VALUES (%s, now(), 'normal', 1, 87, now())", (device_id,)
        )
        connection.execute(
            sql.SQL(_LARGE).format(
                columns=sql.SQL(_COLUMNS),
                device=sql.Literal(device_id),
                step=sql.Literal(timedelta(days=DAYS) / (rows + 1)),
                rows=sql.Literal(rows),
            )
        )
        connection.execute("VACUUM (ANALYZE) sensor_data")


def _drained(days: "SimpleQueue[date]") -> Iterator[date]:
    while True:
        try:
            yield days.get_nowait()
        except Empty:
            return


def _fill_day(connection: psycopg.Connection, day: date, end: datetime, step: timedelta) -> None:
    starts = datetime(day.year, day.month, day.day, tzinfo=UTC)
    name = f"sensor_data_{day:%Y%m%d}"
    found = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()
    is_new = found == (None,)
    table = sql.Identifier(name)
    if is_new:
        like = "CREATE TABLE {} (LIKE sensor_data INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        connection.execute(sql.SQL(like).format(table))
    oldest = min(int((end - starts) / step), int(timedelta(days=DAYS) / step))
    newest = max(0, int((end - starts - timedelta(days=1)) / step) + 1)
    connection.execute(
        sql.SQL(_READINGS).format(
            table=table,
            columns=sql.SQL(_COLUMNS),
            end=sql.Literal(end),
            step=sql.Literal(step),
            first=sql.Literal(oldest),
            last=sql.Literal(newest),
            devices=sql.Literal(DEVICES),
        )
    )
    if is_new:
        attach = "ALTER TABLE sensor_data ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
        connection.execute(
            sql.SQL(attach).format(
                table, sql.Literal(starts), sql.Literal(starts + timedelta(days=1))
            )
        )
    connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(table))


def _show(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
