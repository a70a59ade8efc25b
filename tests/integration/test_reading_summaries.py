"""Summaries of past days: a series is the same with them and without, whatever comes late."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString

import pytest

from plumbline.domain.reading import format_time
from portal_process import Client, get_json
from store_world import World, connect, deliver, open_world, reading

NOW = datetime.now(UTC)
DAY = datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC) - timedelta(days=3)
EVERY = timedelta(seconds=100)
LATE = DAY + timedelta(hours=5, seconds=1)


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with open_world(database_url) as opened:
        yield opened


def fill(world: World, device_id: str, every: timedelta = EVERY) -> None:
    """Store readings of a device, from before the day until after it."""
    count = timedelta(days=2) // every
    begin = DAY - timedelta(hours=12)
    world.persist(
        *deliver(
            *(
                reading(device_id, begin + n * every, tilt_angle_deg=n % 70 / 10)
                for n in range(count)
            )
        )
    )


def summaries(world: World) -> list[tuple[str, date, bool, int]]:
    return world.query(
        "SELECT device_id, day, is_stale, (SELECT sum(n)::int FROM unnest(readings) n)"
        " FROM reading_summary ORDER BY device_id, day"
    )


def in_day() -> int:
    return timedelta(days=1) // EVERY


def test_days_that_have_ended_are_summarised_for_dense_devices(world: World) -> None:
    fill(world, "dense")
    fill(world, "sparse", timedelta(minutes=5))
    world.persist(*deliver(reading("dense", NOW), reading("sparse", NOW)))
    assert world.retention.summarise(NOW) == 3
    assert summaries(world) == [("dense", DAY.date(), False, in_day())]
    assert world.retention.summarise(NOW) == 0


def test_a_day_is_not_summarised_in_the_hour_after_its_end(world: World) -> None:
    fill(world, "dense")
    end = DAY + timedelta(days=1)
    world.retention.summarise(end + timedelta(minutes=59))
    assert summaries(world) == []
    world.retention.summarise(end + timedelta(minutes=61))
    assert [day for _, day, _, _ in summaries(world)] == [DAY.date()]


@pytest.mark.parametrize(
    ("change", "readings"),
    [
        (None, 1),
        ("UPDATE sensor_data SET tilt_angle = 90 WHERE device_id = 'dense'", 0),
        ("DELETE FROM sensor_data WHERE device_id = 'dense' AND tilt_angle = 0", None),
    ],
)
def test_what_changes_a_day_makes_its_summary_stale(
    world: World, change: LiteralString | None, readings: int | None
) -> None:
    fill(world, "dense")
    fill(world, "other")
    world.retention.summarise(NOW)
    if change is None:
        world.persist(*deliver(reading("dense", LATE)))
    else:
        world.query(change)
    before = (DAY.date(), True, in_day())
    assert summaries(world) == [
        ("dense", *before),
        ("other", DAY.date(), False, in_day()),
    ]
    assert world.retention.summarise(NOW) == 1
    stored = world.value(
        "SELECT count(*) FROM sensor_data WHERE device_id = 'dense'"
        ' AND "timestamp" >= %s AND "timestamp" < %s',
        DAY,
        DAY + timedelta(days=1),
    )
    assert summaries(world)[0] == ("dense", DAY.date(), False, stored)
    assert readings is None or stored == in_day() + readings


def test_a_summary_waits_for_who_is_writing_into_its_day(world: World) -> None:
    """Else it would miss what they commit later, and nobody would mark it."""
    fill(world, "dense")
    with connect(world.url) as writer:
        with writer.transaction():
            writer.execute(
                'INSERT INTO sensor_data (device_id, "timestamp", tilt_angle, status, received_at,'
                " delivery_id) VALUES ('dense', %s, 9, 'normal', now(), gen_random_uuid())",
                (LATE,),
            )
            world.retention.summarise(NOW)
            assert summaries(world) == []
        world.retention.summarise(NOW)
    assert summaries(world) == [("dense", DAY.date(), False, in_day() + 1)]


def test_a_dropped_day_takes_its_summaries_along(world: World) -> None:
    fill(world, "dense")
    world.retention.summarise(NOW)
    world.retention.drop_partitions(NOW + timedelta(days=92))
    assert summaries(world) == []
    assert world.value("SELECT count(*) FROM summarised_day WHERE day <= %s", DAY.date()) == 0


def test_a_series_is_the_same_with_summaries_and_without(client: Client, world: World) -> None:
    fill(world, "dense")
    late = DAY + timedelta(hours=7, microseconds=1)
    ranges = [
        {"from": DAY - timedelta(days=40), "to": NOW, "points": 2000},
        {"from": DAY - timedelta(days=2, seconds=7), "to": DAY + timedelta(days=2), "points": 3},
        {"from": DAY, "to": DAY + timedelta(days=1), "points": 72},
        {"from": DAY + EVERY / 3, "to": DAY + timedelta(days=1) - EVERY / 3, "points": 50},
    ]

    def ask() -> list[Any]:
        return [
            get_json(
                client,
                "/api/v1/devices/dense/series",
                **{name: format_time(v) if name != "points" else v for name, v in one.items()},  # type: ignore[arg-type] # times but for points
            )
            for one in ranges
        ]

    def equal(found: list[Any], expected: list[Any]) -> bool:
        return [one | {"mean": pytest.approx(one["mean"])} for one in expected] == found

    plain = ask()
    world.retention.summarise(NOW)
    assert equal(ask(), plain)
    world.persist(*deliver(reading("dense", late, tilt_angle_deg=-77.5)))
    stale = ask()
    assert all(min(one["min"]) == -77.5 for one in stale), "late, but in every answer at once"
    assert sum(stale[0]["count"]) == sum(plain[0]["count"]) + 1
    world.retention.summarise(NOW)
    assert equal(ask(), stale)


def test_summaries_are_what_a_long_series_reads(client: Client, world: World) -> None:
    fill(world, "dense")
    world.retention.summarise(NOW)
    world.query("UPDATE reading_summary SET greatest = array_fill(99::float8, ARRAY[288])")
    body = get_json(
        client,
        "/api/v1/devices/dense/series",
        **{"from": format_time(DAY), "to": format_time(NOW), "points": 100},
    )
    assert max(v for v in body["max"] if v is not None) == 99
