"""What the sync reads."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from plumbline.domain.reading import Status
from plumbline.ports import DeviceStatus, FleetStatistics
from store_world import NOON, World, deliver, open_world, reading


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with open_world(database_url) as opened:
        yield opened


def test_every_device_comes_once_in_order_and_in_chunks(world: World) -> None:
    ids = [f"dev-{n:04d}" for n in range(2345)]
    world.persist(*deliver(*(reading(device_id) for device_id in ids)))
    chunks = list(world.statuses.device_statuses())
    assert [len(chunk) for chunk in chunks] == [1000, 1000, 345]
    assert [status.device_id for chunk in chunks for status in chunk] == ids


def test_a_status_is_the_newest_reading(world: World) -> None:
    world.persist(
        *deliver(
            reading(at=NOON, status=Status.FAULT, battery_level_pct=3),
            reading(at=NOON - timedelta(hours=1)),
        )
    )
    ((status,),) = world.statuses.device_statuses()
    assert status == DeviceStatus("dev-1", "fault", NOON, 1.5, 3)
    assert status.last_seen.tzinfo is UTC


def test_all_chunks_are_of_one_moment(world: World) -> None:
    """What is stored while the sync reads belongs to the next one."""
    world.persist(*deliver(*(reading(f"dev-{n:04d}") for n in range(1500))))
    chunks = world.statuses.device_statuses()
    next(chunks)
    with open_world(world.url) as writer:
        writer.persist(*deliver(reading("dev-1400", NOON + timedelta(seconds=1))))
    (status,) = [s for chunk in chunks for s in chunk if s.device_id == "dev-1400"]
    assert status.last_seen == NOON


def test_a_sync_that_stops_early_leaves_a_usable_connection(world: World) -> None:
    world.persist(*deliver(*(reading(f"dev-{n:04d}") for n in range(1500))))
    chunks = world.statuses.device_statuses()
    next(chunks)
    del chunks
    assert world.statuses.fleet_statistics(NOON).devices == 1500


def test_statistics_of_no_devices(world: World) -> None:
    assert world.statuses.fleet_statistics(NOON) == FleetStatistics(0, {}, 0, None, None)
    assert list(world.statuses.device_statuses()) == []


def test_statistics_count_the_fleet(world: World) -> None:
    hour = timedelta(hours=1)
    world.persist(
        *deliver(
            reading("a", NOON, status=Status.ALARM),
            reading("a", NOON - hour),  # an hour ago is not within the last hour
            reading("b", NOON - hour + timedelta(microseconds=1)),
            reading("c", NOON - 3 * hour),
            reading("d", NOON + timedelta(seconds=1)),  # a clock that is ahead
        )
    )
    assert world.statuses.fleet_statistics(NOON) == FleetStatistics(
        devices=4,
        by_status={"alarm": 1, "normal": 3},
        readings_last_hour=2,
        stalest_device_id="c",
        stalest_last_seen=NOON - 3 * hour,
    )


def test_the_last_hour_spans_midnight(world: World) -> None:
    midnight = datetime(NOON.year, NOON.month, NOON.day, tzinfo=UTC)
    world.persist(
        *deliver(*(reading(at=midnight + timedelta(minutes=n)) for n in range(-40, 40, 10)))
    )
    assert world.statuses.fleet_statistics(midnight + timedelta(minutes=10)).readings_last_hour == 6
