"""Property 1.3: processing a message several times creates no second entry.

And what follows from it for a queue that delivers at least once and in any order: the tables do not
depend on how often, in which order and in which batches the readings arrive.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plumbline.domain.delivery import DeliveredReading
from plumbline.domain.reading import Reading, Status
from store_world import NOON, Batch, World, open_world, reading

# The database is shared by the examples of a test, and emptied for each.
SHARED_DATABASE = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

MOMENTS = st.tuples(st.sampled_from("abc"), st.integers(0, 5))


@contextmanager
def empty_world(url: str) -> Iterator[World]:
    with open_world(url) as world:
        world.query(
            "TRUNCATE sensor_data, device_status, reading_duplicate, reading_conflict, quarantine,"
            " quarantine_part, settled_delivery, ledger_entry, ledger_total, ledger_folded"
        )
        yield world


def reading_of(moment: tuple[str, int]) -> Reading:
    """Make the one reading that the device has of that moment."""
    device_id, second = moment
    random_values = random.Random(repr(moment))
    return reading(
        device_id,
        NOON + timedelta(seconds=second),
        tilt_angle_deg=random_values.uniform(-180, 180),
        status=random_values.choice(list(Status)),
        battery_level_pct=random_values.choice([None, 50]),
    )


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[DeliveredReading]]:
    """Draw readings, some handed over twice, redelivered at will, in any order and batches."""
    moments = draw(st.lists(MOMENTS, min_size=1, max_size=20))
    delivered = Batch().deliver(*map(reading_of, moments))
    again = draw(st.lists(st.sampled_from(delivered), max_size=20))
    order = draw(st.permutations([*delivered, *again]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=6)))
    return [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]


def tables(world: World) -> list[list[tuple[Any, ...]]]:
    return [
        world.query(
            'SELECT device_id, "timestamp", tilt_angle, status, battery_level FROM sensor_data'
            " ORDER BY 1, 2"
        ),
        world.query(
            "SELECT device_id, last_seen, current_status, tilt_angle, battery_level"
            " FROM device_status ORDER BY 1"
        ),
    ]


def expected_tables(readings: Sequence[Reading]) -> list[list[tuple[Any, ...]]]:
    moments = {(r.device_id, r.observed_at): r for r in readings}
    newest = {r.device_id: r for _, r in sorted(moments.items())}
    return [
        [
            (r.device_id, r.observed_at, r.tilt_angle_deg, r.status.value, r.battery_level_pct)
            for _, r in sorted(moments.items())
        ],
        [
            (d, r.observed_at, r.status.value, r.tilt_angle_deg, r.battery_level_pct)
            for d, r in sorted(newest.items())
        ],
    ]


@SHARED_DATABASE
@given(batches=arrivals())
def test_p1_3_redelivery_stores_one_row(
    database_url: str, batches: list[list[DeliveredReading]]
) -> None:
    with empty_world(database_url) as world:
        for batch in batches:
            world.persist(*batch)
        readings = [d.reading for batch in batches for d in batch]
        assert tables(world) == expected_tables(readings)
        deliveries = {d.delivery_id for batch in batches for d in batch}
        account = world.ledger.account()
        assert account.balanced
        assert account.total.received == len(deliveries)
        assert account.total.stored == len({(r.device_id, r.observed_at) for r in readings})
        assert account.total.stored + account.total.duplicates == len(deliveries)


@SHARED_DATABASE
@given(
    moments=st.lists(MOMENTS, min_size=1, max_size=25),
    angles=st.lists(st.floats(-180, 180), min_size=25, max_size=25),
    seed=st.integers(),
)
def test_p1_3_of_different_readings_in_a_batch_the_first_received_is_stored(
    database_url: str, moments: list[tuple[str, int]], angles: list[float], seed: int
) -> None:
    """However the queue has shuffled them."""
    rows = [
        reading(device_id, NOON + timedelta(seconds=second), tilt_angle_deg=angle)
        for (device_id, second), angle in zip(moments, angles, strict=False)
    ]
    delivered = Batch().deliver(*rows)
    first: dict[tuple[str, object], Reading] = {}
    for row in rows:
        first.setdefault((row.device_id, row.observed_at), row)
    random.Random(seed).shuffle(delivered)
    with empty_world(database_url) as world:
        world.persist(*delivered)
        assert tables(world) == expected_tables(list(first.values()))
        differing = sum(
            row.tilt_angle_deg != first[row.device_id, row.observed_at].tilt_angle_deg
            for row in rows
        )
        assert world.value("SELECT count(*) FROM reading_conflict") == differing
