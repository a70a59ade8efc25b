"""Several writers at once, and a database that dies under them."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from plumbline.domain.delivery import DeliveredReading
from plumbline.domain.reading import MAX_AGE
from plumbline.errors import StoreUnavailable
from plumbline.local.servers.postgres import PostgresServer
from store_world import NOON, Batch, Delivery, World, connect, deliver, open_world, reading

WRITERS = 6


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with open_world(database_url) as opened:
        yield opened


def in_threads(*tasks: Callable[[], None]) -> None:
    """Run all at once and raise the first error."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        for result in [pool.submit(task) for task in tasks]:
            result.result()


def persist_all(url: str, batches: Sequence[Sequence[DeliveredReading]]) -> None:
    with open_world(url) as own:
        for batch in batches:
            own.persist(*batch)


def deadlocks(world: World) -> int:
    with connect(world.url) as connection:  # its end makes the server report its counts
        connection.execute("SELECT 1")
    count = world.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert isinstance(count, int)
    return count


def test_six_writers_of_the_same_devices_do_not_deadlock(world: World) -> None:
    """Every writer brings the same readings of the same devices, each in its own order."""
    rows = [
        reading(f"dev-{device:02d}", NOON + timedelta(seconds=second))
        for device in range(40)
        for second in range(25)
    ]
    work = []
    for seed in range(WRITERS):
        shuffled = [*rows]
        random.Random(seed).shuffle(shuffled)
        deliveries = deliver(*shuffled)
        work.append([deliveries[start : start + 50] for start in range(0, len(deliveries), 50)])
    in_threads(*(lambda batches=batches: persist_all(world.url, batches) for batches in work))
    assert deadlocks(world) == 0
    assert world.value("SELECT count(*) FROM sensor_data") == len(rows)
    assert world.value("SELECT count(*) FROM reading_duplicate") == len(rows) * (WRITERS - 1)
    assert world.query("SELECT DISTINCT last_seen FROM device_status") == [
        (NOON + timedelta(seconds=24),)
    ]
    counts: Counter[str] = Counter()
    for outcome in world.outcomes().values():
        counts.update(outcome)
    assert counts == {"stored": len(rows), "duplicate": len(rows) * (WRITERS - 1)}


def test_one_batch_delivered_to_six_writers_at_once_counts_once(world: World) -> None:
    """The queue may hand out a message again while its first receiver still works on it."""
    batch = Batch()
    readings = batch.deliver(*(reading(f"dev-{n:02d}") for n in range(40)))
    readings += batch.deliver(*(reading(f"dev-{n:02d}") for n in range(40)))
    refusals = [part for _ in range(10) for part in batch.refuse(b"xyz", parts=3)]
    receipt = batch.receipt({f"dev-{n:02d}": 2 for n in range(40)} | {"dev-1": 10})

    def persist(seed: int) -> None:
        mixed: list[Delivery] = [*readings, *refusals, receipt]
        random.Random(seed).shuffle(mixed)
        with open_world(world.url) as own:
            own.persist(*mixed)

    in_threads(*(lambda seed=seed: persist(seed) for seed in range(WRITERS)))
    assert deadlocks(world) == 0
    account = world.ledger.account()
    assert account.balanced
    assert (account.total.stored, account.total.duplicates, account.total.quarantined) == (
        40,
        40,
        10,
    )


def test_writers_and_retention_do_not_disturb_each_other(world: World) -> None:
    """Partitions are made and dropped while six writers store."""
    now = datetime.now(UTC)
    expired = (now - MAX_AGE).date() - timedelta(days=1)
    finished = threading.Event()

    def prune() -> None:
        with open_world(world.url) as own:
            while not finished.is_set():
                own.query("SELECT ensure_sensor_data_partition(%s)", expired)
                own.retention.ensure_partitions(now, days_back=1, days_ahead=1)
                own.retention.prune(now)

    def write(writer: int) -> None:
        late = datetime(expired.year, expired.month, expired.day, 12, tzinfo=UTC)
        with open_world(world.url) as own:
            for n in range(25):
                at = timedelta(seconds=n)
                own.persist(
                    *deliver(
                        *(reading(f"dev-{d}", NOON + at, sequence=writer) for d in range(10)),
                        reading(f"late-{writer}", late + at),
                    )
                )

    pruning = threading.Thread(target=prune)
    pruning.start()
    try:
        in_threads(*(lambda writer=writer: write(writer) for writer in range(WRITERS)))
    finally:
        finished.set()
        pruning.join()
    account = world.ledger.account()
    assert account.balanced
    assert account.total.received == WRITERS * 25 * 11
    assert sum(b.stored for d, b in account.devices.items() if d.startswith("dev")) == 250


def test_a_database_that_is_down_is_unavailable_and_then_serves_again(
    world: World, postgres_server: PostgresServer
) -> None:
    batch = deliver(reading())
    world.persist(*deliver(reading("before")))
    postgres_server.stop()
    try:
        with pytest.raises(StoreUnavailable):
            world.persist(*batch)
        with pytest.raises(StoreUnavailable):
            world.persist(*batch)
    finally:
        postgres_server.start()
        postgres_server.wait_ready(30)
    assert world.persist(*batch).stored == 1


def wait_for(more: int, acknowledged: Sequence[object]) -> None:
    wanted = len(acknowledged) + more
    deadline = time.monotonic() + 30
    while len(acknowledged) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_persisted(world: World, batch: Sequence[DeliveredReading]) -> bool:
    try:
        world.persist(*batch)
    except StoreUnavailable:
        return False
    return True


def test_kill_9_of_the_database_loses_nothing_acknowledged(
    world: World, postgres_server: PostgresServer
) -> None:
    """Writers go on through three kills; what was not acknowledged is sent again."""
    acknowledged: list[DeliveredReading] = []
    stop = threading.Event()
    gave_up = threading.Event()

    def write(writer: int) -> None:
        with open_world(world.url) as own:
            n = 0
            while not stop.is_set():
                batch = deliver(
                    *(reading(f"dev-{writer}-{d}", NOON + timedelta(seconds=n)) for d in range(20))
                )
                n += 1
                while not is_persisted(own, batch):
                    if gave_up.wait(0.05):
                        return
                acknowledged.extend(batch)

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, writer) for writer in range(2)]
        try:
            # Here, because the server ends with the thread that started it.
            for _ in range(3):
                wait_for(400, acknowledged)
                postgres_server.kill()
                postgres_server.start()
                postgres_server.wait_ready(30)
        except BaseException:
            gave_up.set()
            raise
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    stored = {identity for (identity,) in world.query("SELECT delivery_id FROM sensor_data")}
    assert stored == {d.delivery_id for d in acknowledged}
    assert len(acknowledged) >= 1200
    account = world.ledger.account()
    assert account.balanced
    assert account.total.stored == len(acknowledged)
