"""Daily partitions: made when needed, dropped after 90 days, and nothing lost or counted twice."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from psycopg import sql

from plumbline.adapters.postgres.retention import PostgresRetention
from plumbline.domain.reading import MAX_AGE
from plumbline.errors import StoreUnavailable
from plumbline.ports import PersistOutcome
from store_world import NOON, Batch, World, connect, deliver, open_world, reading

NOW = datetime.now(UTC)
TODAY = NOW.date()
OLDEST_KEPT = (NOW - MAX_AGE).date()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with open_world(database_url) as opened:
        yield opened


def noon_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def partition_days(world: World) -> list[date]:
    return [
        datetime.strptime(name, "sensor_data_%Y%m%d").replace(tzinfo=UTC).date()
        for (name,) in world.query(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'sensor_data'::regclass ORDER BY 1"
        )
    ]


def test_partitions_are_made_for_the_days_asked_for(world: World) -> None:
    days = [TODAY + timedelta(days=n) for n in range(-2, 8)]
    assert world.retention.ensure_partitions(NOW, days_back=2, days_ahead=7) == days
    assert world.retention.ensure_partitions(NOW, days_back=2, days_ahead=7) == []
    assert partition_days(world) == days


def test_a_kept_day_without_partition_gets_one(world: World) -> None:
    oldest = reading(at=noon_of(OLDEST_KEPT))
    newest = reading(at=NOW + timedelta(days=1))
    assert world.persist(*deliver(oldest, reading(), newest)) == PersistOutcome(stored=3)
    assert partition_days(world) == sorted({OLDEST_KEPT, NOON.date(), newest.observed_at.date()})


def test_readings_just_before_and_after_midnight_go_to_their_days(world: World) -> None:
    midnight = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
    before = midnight - timedelta(microseconds=1)
    world.persist(*deliver(reading(at=before), reading(at=midnight)))
    assert world.query('SELECT tableoid::regclass::text FROM sensor_data ORDER BY "timestamp"') == [
        (f"sensor_data_{before:%Y%m%d}",),
        (f"sensor_data_{midnight:%Y%m%d}",),
    ]


def test_day_91_is_dropped_and_day_90_kept(world: World) -> None:
    world.persist(*deliver(*(reading(at=noon_of(OLDEST_KEPT) + timedelta(days=n)) for n in (0, 1))))
    world.query("SELECT ensure_sensor_data_partition(%s)", OLDEST_KEPT - timedelta(days=1))
    world.query("SELECT ensure_sensor_data_partition(%s)", OLDEST_KEPT - timedelta(days=400))
    assert world.retention.drop_partitions(NOW) == [
        OLDEST_KEPT - timedelta(days=400),
        OLDEST_KEPT - timedelta(days=1),
    ]
    assert partition_days(world) == [OLDEST_KEPT, OLDEST_KEPT + timedelta(days=1)]
    assert world.retention.prune(NOW).partitions == 0
    assert world.retention.prune(NOW + timedelta(days=1)).partitions == 1
    assert world.value("SELECT count(*) FROM sensor_data") == 1


def test_late_data_for_a_dropped_day_is_quarantined(world: World) -> None:
    """It is accounted for, and its neighbours are stored."""
    late = reading(at=noon_of(OLDEST_KEPT) - timedelta(days=1), battery_level_pct=7)
    batch = deliver(reading("a"), late, reading("b"))
    assert world.persist(*batch) == PersistOutcome(stored=2, quarantined=1)
    (entry,) = world.quarantine.entries()
    assert (entry.reason, entry.topic) == ("timestamp_too_old", "tilt/dev-1/telemetry")
    assert entry.delivery_id == batch[1].delivery_id
    assert b'"battery_level":7' in world.quarantine.message(entry.entry_id).raw
    assert world.persist(*batch) == PersistOutcome(repeated=3)
    assert world.value("SELECT count(*) FROM device_status") == 2


@pytest.mark.parametrize("year", [1, 1999, 9999])
def test_a_moment_out_of_all_reason_makes_no_partition(world: World, year: int) -> None:
    """The queue may bring what parsing never saw."""
    outcome = world.persist(*deliver(reading(at=datetime(year, 7, 1, tzinfo=UTC)), reading("b")))
    assert outcome == PersistOutcome(stored=1, quarantined=1)
    assert world.value("SELECT reason FROM quarantine") == (
        "timestamp_in_future" if year == 9999 else "timestamp_too_old"
    )
    assert partition_days(world) == [NOON.date()]


def test_a_bad_row_and_a_missing_partition_in_one_batch(world: World) -> None:
    """The bad one is found first; the missing partition while it is being isolated."""
    world.retention.ensure_partitions(NOON, days_back=0, days_ahead=0)
    batch = deliver(
        reading("a", battery_level_pct=200), reading("b"), reading("c", at=noon_of(OLDEST_KEPT))
    )
    outcome = world.persist(*batch)
    assert outcome.stored == 2
    assert list(outcome.rejected) == [batch[0].delivery_id]


def test_a_repetition_after_its_partition_was_dropped_is_known(world: World) -> None:
    """Stored, duplicate and conflict: each had its outcome, and none gets a second.

    Here the clock of whoever dropped it was ahead of the database's.
    """
    moment = noon_of(OLDEST_KEPT)
    batch = deliver(reading(at=moment), reading(at=moment), reading(at=moment, tilt_angle_deg=9.0))
    world.persist(*batch)
    before = world.outcomes()
    tomorrow = NOW + timedelta(days=1)
    assert world.retention.drop_partitions(tomorrow) == [OLDEST_KEPT]
    assert world.persist(*batch) == PersistOutcome(repeated=3)
    assert world.outcomes() == before
    assert world.value("SELECT count(*) FROM quarantine") == 0


def test_a_repetition_after_another_reading_took_its_place_is_known(world: World) -> None:
    moment = noon_of(OLDEST_KEPT)
    batch = deliver(reading(at=moment), reading(at=moment), reading(at=moment, tilt_angle_deg=9.0))
    world.persist(*batch)
    world.retention.drop_partitions(NOW + timedelta(days=1))
    assert world.persist(*deliver(reading(at=moment, tilt_angle_deg=9.0))).stored == 1
    assert world.persist(*batch) == PersistOutcome(repeated=3)


def test_ids_go_on_beyond_the_old_limit(world: World) -> None:
    """SERIAL ends at 2**31 - 1, and every conflict burns a value too."""
    world.query("SELECT setval('sensor_data_id_seq', %s)", 2**31 - 500)
    rows = [reading(f"dev-{n}") for n in range(1000)]
    assert world.persist(*deliver(*rows)).stored == 1000
    assert world.persist(*deliver(*rows)).duplicates == 1000
    assert world.persist(*deliver(reading("last"))).stored == 1
    assert world.value("SELECT max(id) FROM sensor_data") > 2**31 + 1000
    assert world.value("SELECT count(DISTINCT id) FROM sensor_data") == 1001


def test_dropping_waits_for_a_writer_and_then_succeeds(world: World) -> None:
    """The lock times out and is tried again; the writer is not disturbed."""
    day = OLDEST_KEPT - timedelta(days=1)
    world.query("SELECT ensure_sensor_data_partition(%s)", day)
    with connect(world.url) as writer:
        writer.execute("BEGIN")
        writer.execute("LOCK TABLE sensor_data IN ROW EXCLUSIVE MODE")
        dropping = threading.Thread(target=drop_with_own_connection, args=(world.url,))
        dropping.start()
        timed_out = threading.Event()
        while not timed_out.is_set():  # until the drop is seen waiting for its lock
            waiting = writer.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
            if waiting is not None and waiting[0]:
                timed_out.set()
        with open_world(world.url) as another:
            assert another.persist(*deliver(reading())).stored == 1
        writer.execute("COMMIT")
        dropping.join()
    assert day not in partition_days(world)


def drop_with_own_connection(url: str) -> None:
    with open_world(url) as own:
        own.retention.drop_partitions(NOW)


def test_dropping_gives_up_where_a_partition_stays_in_use(world: World) -> None:
    day = OLDEST_KEPT - timedelta(days=1)
    world.query("SELECT ensure_sensor_data_partition(%s)", day)
    with connect(world.url) as reader:
        reader.execute("BEGIN")
        reader.execute(
            sql.SQL("SELECT * FROM {}").format(sql.Identifier(f"sensor_data_{day:%Y%m%d}"))
        )
        with pytest.raises(StoreUnavailable):
            PostgresRetention(world.database, drop_attempts=2).drop_partitions(NOW)
    assert world.retention.drop_partitions(NOW) == [day]


def test_prune_removes_what_is_past_its_time_and_nothing_else(world: World) -> None:
    batch = Batch()
    world.persist(
        *batch.deliver(reading(), reading(), reading(tilt_angle_deg=2.0)), *batch.refuse()
    )
    nothing = world.retention.prune(NOW)
    assert (nothing.duplicates, nothing.conflicts, nothing.quarantined) == (0, 0, 0)
    later = world.retention.prune(NOW + timedelta(days=31))
    assert (later.duplicates, later.conflicts, later.quarantined) == (1, 0, 0)
    latest = world.retention.prune(NOW + timedelta(days=92))
    assert (latest.partitions, latest.conflicts, latest.quarantined) == (1, 1, 1)
    assert world.value("SELECT count(*) FROM quarantine_part") == 0
    assert world.query("SELECT device_id, stored FROM ledger_total") == [("dev-1", 1)]
