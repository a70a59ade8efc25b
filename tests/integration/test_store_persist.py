"""What one batch leaves in the database."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from plumbline.adapters.postgres import reading_store
from plumbline.adapters.postgres.partitions import Provision
from plumbline.domain.reading import Reading, Status
from plumbline.errors import InvalidMessage, StoreUnavailable
from plumbline.ports import PersistOutcome
from store_world import NOON, Batch, Delivery, World, deliver, open_world, reading


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with open_world(database_url) as opened:
        yield opened


def test_every_field_of_a_reading_is_stored(world: World) -> None:
    (full,) = deliver(
        reading(
            at=NOON.replace(microsecond=123457),
            tilt_angle_deg=-12.345678,
            status=Status.ALARM,
            battery_level_pct=0,
            tilt_x_deg=1e-5,
            tilt_y_deg=-0.25,
            tilt_z_deg=89.9999,
            temperature_c=-40.5,
            rssi_dbm=-117.0,
            snr_db=-7.25,
            sequence=2**63 - 1,
            extra={"ünit": "°", "nested": [1, {"a": None}], 'quote"{},': "NULL"},
        )
    )
    assert world.persist(full) == PersistOutcome(stored=1)
    r = full.reading
    assert world.query(
        'SELECT device_id, "timestamp", tilt_angle, status, battery_level, tilt_x, tilt_y, tilt_z,'
        " temperature, rssi, snr, sequence, extra, received_at, delivery_id FROM sensor_data"
    ) == [
        (
            r.device_id,
            r.observed_at,
            r.tilt_angle_deg,
            "alarm",
            0,
            r.tilt_x_deg,
            r.tilt_y_deg,
            r.tilt_z_deg,
            r.temperature_c,
            r.rssi_dbm,
            r.snr_db,
            r.sequence,
            r.extra,
            full.received_at,
            full.delivery_id,
        )
    ]


def test_optional_fields_that_only_some_rows_have_stay_with_their_rows(world: World) -> None:
    rows = [
        reading(at=NOON + timedelta(seconds=n), temperature_c=float(n) if n % 3 == 0 else None)
        for n in range(10)
    ]
    world.persist(*deliver(*rows))
    assert world.query('SELECT temperature FROM sensor_data ORDER BY "timestamp"') == [
        (float(n) if n % 3 == 0 else None,) for n in range(10)
    ]


@pytest.mark.parametrize(
    "bad",
    [
        {"tilt_angle_deg": float("nan")},
        {"tilt_angle_deg": 180.1},
        {"battery_level_pct": 101},
        {"battery_level_pct": 2**40},
        {"device_id": "x" * 51},
        {"device_id": "nul\0"},
        {"extra": {"text": "\0"}},
        {"extra": {"lone surrogate": "\ud800"}},
        {"extra": {"not JSON": float("inf")}},
    ],
    ids=str,
)
def test_24_good_and_1_bad_are_24_rows_and_one_failure(world: World, bad: dict[str, Any]) -> None:
    """A set-based insert fails as a whole; the bad one is found and the others are stored."""
    good = [reading(f"dev-{n:02d}") for n in range(24)]
    batch = deliver(*good[:11], reading(**({"device_id": "dev-bad"} | bad)), *good[11:])
    outcome = world.persist(*batch)
    assert outcome.stored == 24
    assert list(outcome.rejected) == [batch[11].delivery_id]
    why = outcome.rejected[batch[11].delivery_id]
    assert why
    assert batch[11].reading.device_id not in why  # a log must not hold what a device sent
    assert world.value("SELECT count(*) FROM sensor_data") == 24
    assert world.value("SELECT count(*) FROM device_status") == 24
    assert world.outcomes() == {f"dev-{n:02d}": {"stored": 1} for n in range(24)}


def test_a_bad_row_does_not_hide_duplicates_and_conflicts_beside_it(world: World) -> None:
    world.persist(*deliver(reading("a"), reading("b")))
    outcome = world.persist(
        *deliver(
            reading("a"),
            reading("b", tilt_angle_deg=9.0),
            reading("c"),
            reading("d", battery_level_pct=-1),
        )
    )
    assert (outcome.stored, outcome.duplicates, outcome.conflicts) == (1, 1, 1)
    assert len(outcome.rejected) == 1
    assert outcome.repeated == 0


def test_a_bad_refusal_is_rejected_alone(world: World) -> None:
    batch = Batch()
    good, bad = batch.refuse(b"{"), batch.refuse(device_id="nul\0")
    outcome = world.persist(*good, *bad, *batch.deliver(reading()))
    assert (outcome.stored, outcome.quarantined) == (1, 1)
    assert list(outcome.rejected) == [bad[0].delivery_id]


def test_an_equal_reading_of_another_delivery_is_a_duplicate(world: World) -> None:
    """Reception is not the reading: a message sent again is received at another strength."""
    first = reading(rssi_dbm=-70.0, snr_db=5.0, extra={"a": 1}, temperature_c=2.0)
    again = deliver(first._replace(rssi_dbm=-90.0, snr_db=None))
    world.persist(*deliver(first))
    assert world.persist(*again) == PersistOutcome(duplicates=1)
    assert world.persist(*again) == PersistOutcome(repeated=1)
    assert world.query("SELECT rssi FROM sensor_data") == [(-70.0,)]
    assert world.query("SELECT delivery_id, device_id FROM reading_duplicate") == [
        (again[0].delivery_id, "dev-1")
    ]
    assert world.outcomes() == {"dev-1": {"stored": 1, "duplicate": 1}}


@pytest.mark.parametrize(
    "change",
    [
        {"tilt_angle_deg": 1.5000001},
        {"status": Status.WARNING},
        {"battery_level_pct": 50},
        {"tilt_x_deg": None},
        {"tilt_y_deg": 0.0},
        {"tilt_z_deg": 0.0},
        {"temperature_c": 0.0},
        {"sequence": 0},
        {"extra": {"a": 2}},
        {"extra": {}},
    ],
    ids=str,
)
def test_a_different_reading_of_the_same_moment_is_kept_as_a_conflict(
    world: World, change: dict[str, Any]
) -> None:
    first = reading(tilt_x_deg=1.0, extra={"a": 1})
    second = deliver(first._replace(**change))
    world.persist(*deliver(first))
    assert world.persist(*second) == PersistOutcome(conflicts=1)
    assert world.persist(*second) == PersistOutcome(repeated=1)
    assert world.query("SELECT tilt_angle, tilt_x, status FROM sensor_data") == [
        (1.5, 1.0, "normal")
    ]
    ((kept, conflicting),) = world.query("SELECT delivery_id, reading FROM reading_conflict")
    assert kept == second[0].delivery_id
    assert conflicting["tilt_angle"] == second[0].reading.tilt_angle_deg
    assert conflicting.get("a") == second[0].reading.extra.get("a")
    assert world.query("SELECT tilt_angle, current_status FROM device_status") == [(1.5, "normal")]


def test_one_moment_three_times_in_a_batch_keeps_the_first_received(world: World) -> None:
    batch = deliver(reading(), reading(tilt_angle_deg=2.0), reading())
    random.shuffle(batch)
    assert world.persist(*batch) == PersistOutcome(stored=1, duplicates=1, conflicts=1)
    assert world.query("SELECT tilt_angle FROM sensor_data") == [(1.5,)]
    assert world.persist(*batch) == PersistOutcome(repeated=3)


def test_a_delivery_twice_in_a_batch_counts_once(world: World) -> None:
    delivered = deliver(reading())
    assert world.persist(*delivered, *delivered) == PersistOutcome(stored=1, repeated=1)
    duplicate = deliver(reading())
    assert world.persist(*duplicate, *duplicate) == PersistOutcome(duplicates=1, repeated=1)
    assert world.outcomes() == {"dev-1": {"stored": 1, "duplicate": 1}}


def test_25_records_of_one_device_leave_its_newest_status(world: World) -> None:
    rows = [
        reading(at=NOON + timedelta(seconds=n), tilt_angle_deg=float(n), battery_level_pct=n)
        for n in range(25)
    ]
    random.shuffle(rows)
    assert world.persist(*deliver(*rows)).stored == 25
    assert world.query("SELECT last_seen, tilt_angle, battery_level FROM device_status") == [
        (NOON + timedelta(seconds=24), 24.0, 24)
    ]


def test_status_never_moves_back(world: World) -> None:
    world.persist(*deliver(reading(status=Status.ALARM)))
    world.persist(*deliver(reading(at=NOON - timedelta(minutes=1))))
    assert world.query("SELECT last_seen, current_status FROM device_status") == [(NOON, "alarm")]


def test_a_battery_level_that_stops_coming_is_no_longer_shown(world: World) -> None:
    world.persist(*deliver(reading(battery_level_pct=50)))
    world.persist(*deliver(reading(at=NOON + timedelta(seconds=1))))
    assert world.value("SELECT battery_level FROM device_status") is None


def test_a_repeated_batch_writes_nothing(world: World) -> None:
    batch = Batch()
    deliveries: list[Delivery] = [
        *batch.deliver(*(reading(f"dev-{n}") for n in range(5))),
        *batch.refuse(),
        batch.receipt({f"dev-{n}": 1 for n in range(5)} | {"dev-1": 2}),
    ]
    assert world.persist(*deliveries) == PersistOutcome(stored=5, quarantined=1)
    before = world.query("SELECT id, kind, counts::text FROM ledger_entry ORDER BY id")
    assert world.persist(*deliveries) == PersistOutcome(repeated=6)
    assert world.query("SELECT id, kind, counts::text FROM ledger_entry ORDER BY id") == before


def test_a_large_refusal_is_one_delivery_however_its_parts_come(world: World) -> None:
    batch = Batch()
    raw = bytes(range(256)) * 40
    first, second, third = batch.refuse(raw, parts=3)
    assert world.persist(third) == PersistOutcome(quarantined=1)
    assert not world.quarantine.entries()[0].complete
    assert world.persist(first, second, second) == PersistOutcome(repeated=1)
    (entry,) = world.quarantine.entries()
    assert entry.complete
    assert world.quarantine.message(entry.entry_id).raw == raw
    assert world.outcomes() == {"dev-1": {"quarantined": 1}}


def test_an_empty_refused_message_is_kept(world: World) -> None:
    world.persist(*Batch().refuse(b""))
    (entry,) = world.quarantine.entries()
    assert entry.complete
    assert world.quarantine.message(entry.entry_id).raw == b""


def test_outcomes_are_recorded_by_batch(world: World) -> None:
    one, two = Batch(), Batch()
    world.persist(
        *one.deliver(reading("a")),
        *two.deliver(reading("b"), reading("b", tilt_angle_deg=2.0)),
        one.receipt({"a": 1}),
    )
    assert sorted(world.query("SELECT batch_id, kind, messages, counts FROM ledger_entry")) == (
        sorted(
            [
                (one.batch_id, "receipt", 1, {"a": 1}),
                (one.batch_id, "outcome", None, {"a": {"stored": 1}}),
                (two.batch_id, "outcome", None, {"b": {"stored": 1, "conflict": 1}}),
            ],
            key=lambda row: (row[0], row[1]),
        )
    )


def test_a_receipt_that_the_database_refuses_is_told_and_nothing_is_stored(world: World) -> None:
    batch = Batch()
    delivered = batch.deliver(reading())
    with pytest.raises(InvalidMessage):
        world.persist(*delivered, batch.receipt({"dev-1": 1}, messages=2**63))
    assert world.value("SELECT count(*) FROM sensor_data") == 0
    assert world.persist(*delivered) == PersistOutcome(stored=1)


def test_partitions_that_never_stay_are_an_error_that_is_tried_again_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    def provide(_connection: object, readings: object) -> Provision:
        attempts.append(readings)
        return Provision(frozenset(), {})

    monkeypatch.setattr(reading_store, "provide_partitions", provide)
    with pytest.raises(StoreUnavailable):
        world.persist(*deliver(reading(at=NOON - timedelta(days=60))))
    assert len(attempts) == 5


def test_nothing_of_an_empty_batch(world: World) -> None:
    assert world.persist() == PersistOutcome()
    assert world.value("SELECT count(*) FROM ledger_entry") == 0


def test_the_documents_queries_work(world: World) -> None:
    """Its columns keep their names and meaning."""
    rows: list[Reading] = [reading(at=NOON + timedelta(minutes=n)) for n in range(3)]
    world.persist(*deliver(*rows, reading("dev-2", status=Status.ALARM)))
    assert world.query(
        "SELECT device_id, timestamp, tilt_angle, status, battery_level FROM sensor_data"
        " WHERE device_id = %s ORDER BY timestamp DESC LIMIT 1",
        "dev-1",
    ) == [("dev-1", NOON + timedelta(minutes=2), 1.5, "normal", None)]
    assert world.query(
        "SELECT device_id, last_seen, current_status FROM device_status WHERE current_status = %s",
        "alarm",
    ) == [("dev-2", NOON, "alarm")]
