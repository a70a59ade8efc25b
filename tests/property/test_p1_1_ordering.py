"""Property 1.1 on real queues and a real database: the order of a device survives the whole way."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue import PostgresQueue, declare_queues
from plumbline.adapters.postgres.reading_store import PostgresReadingStore
from plumbline.application.distribute import Distribute
from plumbline.application.persist import Persist
from plumbline.codecs.queue_message import encode_delivered
from plumbline.domain.reading import Reading
from plumbline.errors import QueueUnavailable
from plumbline.topology import TOPOLOGY

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Way:
    """From the FIFO queue to the table."""

    url: str
    distributing: PostgresQueue
    db1: PostgresQueue
    persist: Persist

    def take(self, sequence: list[str], fifo_batch: int, batch: int) -> None:
        """Send one reading a device named, in order, and work everything off."""
        outgoing = [
            encode_delivered(Reading(device, NOON + timedelta(seconds=n), 1.0), uuid4(), NOON)
            for n, device in enumerate(sequence)
        ]
        assert self.distributing.send(outgoing) == []
        while messages := self.distributing.receive(fifo_batch):
            assert Distribute({"db1": self.db1}).run(messages) == {}
            self.distributing.delete([message.receipt_handle for message in messages])
        while messages := self.db1.receive(batch):
            assert self.persist.run(messages).failed == {}
            self.db1.delete([message.receipt_handle for message in messages])


@pytest.fixture
def way(database_url: str) -> Iterator[Way]:
    """Yield the way, empty."""
    with closing(Database(database_url, QueueUnavailable)) as database:
        declare_queues(database, TOPOLOGY.queues)
        yield Way(
            database_url,
            PostgresQueue(database, "distributing", fifo=True),
            PostgresQueue(database, "db1", fifo=False),
            Persist(PostgresReadingStore(database)),
        )


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sequence=st.lists(st.sampled_from("abcd"), min_size=1, max_size=60),
    fifo_batch=st.integers(1, 10),
    batch=st.integers(1, 25),
)
def test_p1_1_the_database_has_each_devices_readings_in_the_order_of_the_queue(
    way: Way, sequence: list[str], fifo_batch: int, batch: int
) -> None:
    with psycopg.connect(way.url, autocommit=True) as connection:
        connection.execute("TRUNCATE sensor_data, device_status")
        way.take(sequence, fifo_batch, batch)
        for device in set(sequence):
            rows = connection.execute(
                'SELECT "timestamp" FROM sensor_data WHERE device_id = %s ORDER BY id', [device]
            )
            expected = [NOON + timedelta(seconds=n) for n, d in enumerate(sequence) if d == device]
            assert [moment for (moment,) in rows] == expected
