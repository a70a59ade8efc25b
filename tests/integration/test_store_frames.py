"""Radio frames in the store: each one once, as it was heard best; and frames without an angle."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from plumbline.adapters.postgres.device_events import PostgresDeviceEvents
from plumbline.domain.delivery import DeliveredReading
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import MAX_AGE, Status
from store_world import NOON, Batch, Delivery, World, open_world, reading

FRAME = uuid4()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with open_world(database_url) as world:
        yield world


def received(
    second: float = 0,
    frame: UUID | None = FRAME,
    **values: Any,  # noqa: ANN401 - any of Reading's fields
) -> DeliveredReading:
    """Deliver one reception, ``second`` after the first, as a batch of its own."""
    at = NOON + timedelta(seconds=second)
    [delivered] = Batch().deliver(reading(at=at, sequence=7, **values), frame=frame)
    return delivered


def rows(world: World) -> list[tuple[datetime, float | None, float | None]]:
    return world.query('SELECT "timestamp", rssi, snr FROM sensor_data ORDER BY 1')


def test_a_late_gateway_brings_a_duplicate_with_its_signal_where_it_is_better(
    world: World,
) -> None:
    world.persist(received(rssi_dbm=-110.0, snr_db=-3.0))
    late = world.persist(received(0.7, rssi_dbm=-90.0, snr_db=5.0))
    assert (late.stored, late.duplicates) == (0, 1)
    assert rows(world) == [(NOON, -90.0, 5.0)]
    world.persist(received(1.5, rssi_dbm=-60.0, snr_db=4.9))
    assert rows(world) == [(NOON, -90.0, 5.0)], "the ratio decides"
    world.persist(received(1.6, rssi_dbm=-89.0, snr_db=5.0))
    assert rows(world) == [(NOON, -89.0, 5.0)], "then the strength"
    world.persist(received(1.7, rssi_dbm=None, snr_db=None))
    assert rows(world) == [(NOON, -89.0, 5.0)]
    assert world.outcomes() == {"dev-1": {"stored": 1, "duplicate": 4}}


def test_receptions_of_one_batch_are_one_whatever_their_order(world: World) -> None:
    """Two drains on both sides of a restart, and one batch of DB1: the first received counts.

    It keeps its own time, by which the ledger finds it while its message is still in the queue.
    """
    first, *late = Batch().deliver(
        reading(at=NOON + timedelta(seconds=2), sequence=7, snr_db=1.0),
        reading(at=NOON, sequence=7, snr_db=9.0, rssi_dbm=-60.0),
        reading(at=NOON + timedelta(seconds=3), sequence=7),
        frame=FRAME,
    )
    outcome = world.persist(*late, first)
    assert (outcome.stored, outcome.duplicates) == (1, 2)
    assert rows(world) == [(NOON + timedelta(seconds=2), -60.0, 9.0)]
    assert world.value("SELECT delivery_id FROM sensor_data") == first.delivery_id


def test_an_earlier_reception_that_comes_later_keeps_the_stored_time(world: World) -> None:
    world.persist(received(2.0))
    assert world.persist(received()).duplicates == 1
    assert [row[0] for row in rows(world)] == [NOON + timedelta(seconds=2)]


def test_a_repetition_by_the_queue_counts_nothing(world: World) -> None:
    first, late = received(), received(0.7)
    world.persist(first)
    world.persist(late)
    again = world.persist(late, first)
    assert (again.stored, again.duplicates, again.repeated) == (0, 0, 2)
    assert world.outcomes() == {"dev-1": {"stored": 1, "duplicate": 1}}


def test_two_that_were_stored_at_once_stay_two_when_they_are_repeated(world: World) -> None:
    """Two writers at the same moment do not see each other: both rows stay, and count once each."""
    first, late = received(), received(0.7)
    world.persist(first)
    world.query("UPDATE sensor_data SET frame = NULL")
    world.persist(late)
    world.query("UPDATE sensor_data SET frame = %s", FRAME)
    assert world.persist(first, late).repeated == 2
    assert len(rows(world)) == 2


def test_the_same_frame_after_ten_minutes_is_another(world: World) -> None:
    """A counter that has started again."""
    for second in (0, 600, 1201):
        world.persist(received(second))
    assert [row[0] for row in rows(world)] == [NOON, NOON + timedelta(seconds=1201)]
    world.persist(
        *Batch().deliver(
            *(reading(at=NOON + timedelta(seconds=s), sequence=7) for s in (5000, 5700)),
            frame=FRAME,
        )
    )
    assert len(rows(world)) == 4


def test_other_frames_and_other_devices_are_left_alone(world: World) -> None:
    outcome = world.persist(
        received(),
        received(1, frame=uuid4()),
        received(2, device_id="dev-2"),
        received(3, frame=None),
        received(4, frame=None),
    )
    assert outcome.stored == 5


def test_a_reading_that_came_by_itself_keeps_the_signal_it_had(world: World) -> None:
    world.persist(received(frame=None, rssi_dbm=-110.0, snr_db=-3.0))
    world.persist(received(frame=None, rssi_dbm=-60.0, snr_db=9.0))
    assert rows(world) == [(NOON, -110.0, -3.0)]


def test_receptions_around_midnight_are_one(world: World) -> None:
    """The two days are two partitions."""
    midnight = (NOON + timedelta(hours=12) - NOON).total_seconds()
    world.persist(received(midnight - 0.5, snr_db=1.0))
    assert world.persist(received(midnight + 0.5, snr_db=2.0)).duplicates == 1
    assert [row[2] for row in rows(world)] == [2.0]


def test_six_writers_of_the_same_frames_do_not_deadlock(world: World, database_url: str) -> None:
    """Each brings them in another order, and always with a better signal."""
    frames = [uuid4() for _ in range(300)]
    world.persist(*(received(index, frame) for index, frame in enumerate(frames)))

    def write(writer: int) -> int:
        batch, duplicates = Batch(), 0
        with open_world(database_url) as own:
            for turn in range(4):
                order = list(enumerate(frames))
                random.Random(writer * 10 + turn).shuffle(order)
                deliveries = [
                    batch.deliver(
                        reading(
                            at=NOON + timedelta(seconds=index + 0.1),
                            sequence=7,
                            snr_db=turn + writer / 10,
                        ),
                        frame=frame,
                    )[0]
                    for index, frame in order
                ]
                duplicates += own.persist(*deliveries).duplicates
        return duplicates

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(write, range(6))) == [1200] * 6
    assert {snr_db for _, _, snr_db in rows(world)} == {3.5}


# --- frames without an angle -----------------------------------------------------------------


def event(second: float = 0, **values: Any) -> DeviceEvent:  # noqa: ANN401 - any of its fields
    return DeviceEvent("dev-1", NOON + timedelta(seconds=second), "the device's status", **values)


def events(world: World) -> list[tuple[Any, ...]]:
    return world.query(
        "SELECT observed_at, detail, status, fields, rssi, snr, sequence FROM device_event"
    )


def test_an_event_is_kept_with_all_that_it_says_and_is_no_reading(world: World) -> None:
    fields = {"sensor_model": "dragino-ts01-lb", "f_port": 5, "sensor": {"battery_v": 3.3}}
    said = event(
        status=Status.WARNING, fields=fields, rssi_dbm=-80.0, snr_db=7.5, sequence=2**32 - 1
    )
    outcome = world.persist(*Batch().deliver_events(said, frame=FRAME))
    assert outcome.stored == 1
    assert events(world) == [
        (NOON, "the device's status", "warning", fields, -80.0, 7.5, 2**32 - 1)
    ]
    assert world.query("SELECT FROM sensor_data") == []
    assert world.query("SELECT FROM device_status") == []
    assert world.outcomes() == {"dev-1": {"stored": 1}}


def test_an_event_that_comes_again_is_a_duplicate_or_a_repetition(world: World) -> None:
    first = Batch().deliver_events(event(), frame=FRAME)
    late = Batch().deliver_events(event(0.7), frame=FRAME)
    both = Batch().deliver_events(event(20), event(21), frame=FRAME)
    assert world.persist(*first).stored == 1
    assert world.persist(*late).duplicates == 1
    assert world.persist(*both).duplicates == 2
    again = world.persist(*first, *late, *both)
    assert (again.stored, again.duplicates, again.repeated) == (0, 0, 4)
    other = Batch().deliver_events(event(), frame=uuid4())
    assert world.persist(*other).stored == 1
    assert len(events(world)) == 2


def test_a_devices_events_are_found_newest_first(world: World) -> None:
    first, second = event(sequence=1), event(60, snr_db=1.5, fields={"f_port": 5})
    world.persist(*Batch().deliver_events(second, frame=uuid4()))
    world.persist(*Batch().deliver_events(first, frame=uuid4()))
    world.persist(*Batch().deliver_events(replace(first, device_id="dev-2"), frame=uuid4()))
    found = PostgresDeviceEvents(world.database)
    assert found.newest("dev-1", 9) == [second, first]
    assert found.newest("dev-1", 1) == [second]
    assert found.newest("dev-3", 9) == []


def test_a_bad_event_is_rejected_alone(world: World) -> None:
    batch = Batch()
    bad = batch.deliver_events(event(fields={"a": "\0"}), frame=uuid4())
    good: list[Delivery] = [
        *batch.deliver_events(event(), frame=uuid4()),
        *batch.deliver(reading("a")),
        *batch.deliver_events(event(1), frame=uuid4()),
    ]
    outcome = world.persist(*bad, *good)
    assert (outcome.stored, list(outcome.rejected)) == (3, [bad[0].delivery_id])


def test_events_are_kept_as_long_as_readings(world: World) -> None:
    world.persist(*Batch().deliver_events(event(), frame=uuid4()))
    world.persist(*Batch().deliver_events(event(), frame=uuid4()))
    world.query(
        "UPDATE device_event SET created_at = now() - interval '91 days'"
        " WHERE delivery_id = (SELECT min(delivery_id::text)::uuid FROM device_event)"
    )
    world.retention.prune(NOON + timedelta(days=1))
    assert len(events(world)) == 1
    world.retention.prune(NOON + timedelta(days=2) + MAX_AGE)
    assert events(world) == []
