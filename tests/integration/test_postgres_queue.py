"""What only the queues on PostgreSQL have: restarts, dead consumers, plans, clean-up."""

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import LiteralString

import psutil
import psycopg
import pytest
from psycopg import sql

from plumbline.adapters.postgres import queue as queue_module
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.queue import PostgresQueue, declare_queues
from plumbline.adapters.postgres.queue_admin import PostgresQueueAdmin
from plumbline.adapters.postgres.queue_blocks import MAX_MESSAGES
from plumbline.adapters.postgres.queue_statements import Row, execute
from plumbline.errors import ConfigurationError, NotFound, QueueUnavailable
from plumbline.local.servers.postgres import PostgresServer
from plumbline.ports import OutgoingMessage, QueueMessage
from plumbline.topology import TOPOLOGY

MakeQueue = Callable[..., PostgresQueue]


@pytest.fixture
def make_queue(database_url: str) -> Iterator[MakeQueue]:
    """Yield a function that connects to a queue of the topology, already declared."""
    with ExitStack() as stack:

        def database() -> Database:
            made = Database(database_url, QueueUnavailable)
            stack.callback(made.close)
            return made

        def queue(
            name: str = "distributing",
            *,
            fifo: bool = True,
            holder: str = "",
            block_from: int | None = None,
        ) -> PostgresQueue:
            return PostgresQueue(database(), name, fifo=fifo, holder=holder, block_from=block_from)

        declare_queues(database(), TOPOLOGY.queues)
        yield queue


def messages(count: int, start: int = 0, groups: int = 1000) -> list[OutgoingMessage]:
    return [
        OutgoingMessage(str(n), {}, f"g{n % groups}", str(n)) for n in range(start, start + count)
    ]


def handles(received: list[QueueMessage]) -> list[str]:
    return [message.receipt_handle for message in received]


def test_a_waiting_consumer_outlives_the_server(
    make_queue: MakeQueue, postgres_server: PostgresServer
) -> None:
    """It learns of the crash at once, and listens again as soon as it calls again."""
    waiting, producer = make_queue(), make_queue()
    producer.send(messages(1))
    assert len(waiting.receive(1)) == 1
    crashed = threading.Event()

    def kill_later() -> None:
        time.sleep(0.5)  # the consumer shall wait by then
        postgres_server.kill()
        crashed.set()

    thread = threading.Thread(target=kill_later)
    thread.start()
    with pytest.raises(QueueUnavailable):
        waiting.receive(10, wait_s=20)
    assert crashed.wait(10)
    thread.join()
    with pytest.raises(QueueUnavailable):
        producer.send(messages(1, 1))
    postgres_server.start()
    postgres_server.wait_ready(60)

    received: list[QueueMessage] = []
    thread = threading.Thread(target=lambda: received.extend(waiting.receive(10, wait_s=10)))
    thread.start()
    time.sleep(0.5)  # as above
    sent_s = time.monotonic()
    assert producer.send(messages(1, 1)) == []
    thread.join(10)
    assert time.monotonic() - sent_s < 0.5
    assert [message.body for message in received] == ["1"]


def test_what_a_dead_consumer_had_is_given_back_at_once(make_queue: MakeQueue) -> None:
    dead, alive = make_queue(holder="worker.1"), make_queue(holder="worker.2")
    alive.send(messages(4))
    assert len(dead.receive(2)) == 2
    assert len(alive.receive(1)) == 1
    alive.release("worker.1")
    again = alive.receive(10)
    assert [(message.body, message.receive_count) for message in again] == [
        ("0", 2),
        ("1", 2),
        ("3", 1),
    ]


def test_a_release_wakes_whoever_waits(make_queue: MakeQueue) -> None:
    dead, waiting, operator = make_queue(holder="dead"), make_queue(), make_queue()
    operator.send(messages(1))
    dead.receive(1)
    received: list[QueueMessage] = []
    thread = threading.Thread(target=lambda: received.extend(waiting.receive(1, wait_s=10)))
    thread.start()
    time.sleep(0.5)  # the consumer shall wait by then
    operator.release("dead")
    thread.join(1)
    assert [message.body for message in received] == ["0"]


ROWS_READ: LiteralString = """
    SELECT seq_tup_read + coalesce(idx_tup_fetch, 0)
        + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes i WHERE i.relid = t.relid)
    FROM pg_stat_user_tables t WHERE relname = 'queue_message'"""
TOAST_PAGES_READ: LiteralString = """
    SELECT sum(toast_blks_hit + toast_blks_read) FROM pg_statio_user_tables
    WHERE relname IN ('queue_block', 'queue_deduplication_block')"""
INDEX_PAGES_READ: LiteralString = """
    SELECT idx_blks_hit + idx_blks_read FROM pg_statio_user_indexes
    WHERE indexrelname = 'queue_message_pkey'"""


def cost(
    database_url: str, count: LiteralString, queue: PostgresQueue, action: Callable[[], object]
) -> int:
    """Return how much the server counted while a queue did an action."""

    def read() -> int:
        with queue._database.connection() as connection:  # noqa: SLF001 - its session keeps counts back
            connection.execute("SELECT pg_stat_force_next_flush()")
        with psycopg.connect(database_url) as connection:
            row = connection.execute(count).fetchone()
        assert row is not None
        return int(row[0])

    before = read()
    action()
    return read() - before


@pytest.mark.parametrize("analyzed_when", ["never", "empty", "full of another queue's"])
def test_a_receive_reads_only_what_it_takes(
    make_queue: MakeQueue, database_url: str, analyzed_when: str
) -> None:
    """Whatever the statistics say: they are always those of another length."""
    queue, other = make_queue(), make_queue("db1", fifo=False)
    if analyzed_when == "full of another queue's":
        other.send(messages(10_000))
    if analyzed_when != "never":
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ANALYZE queue_message, queue_lease, queue_deduplication")
    queue.send(messages(10_000))
    in_flight = queue.receive(10)

    def hop() -> None:
        received = queue.receive(10)
        assert len(received) == 10
        assert queue.delete(handles(received)) == []

    assert cost(database_url, ROWS_READ, queue, hop) < 300
    assert queue.delete(handles(in_flight)) == []


def test_a_receive_does_not_pass_what_was_deleted(make_queue: MakeQueue, database_url: str) -> None:
    queue = make_queue("db1", fifo=False)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE queue_message SET (autovacuum_enabled = off)")
    queue.send(messages(10_000))
    for _ in range(9):
        assert queue.delete(handles(queue.receive(1000))) == []

    assert cost(database_url, INDEX_PAGES_READ, queue, lambda: queue.receive(10)) < 30


@pytest.mark.parametrize(("name", "fifo"), [("distributing", True), ("db1", False)])
def test_what_is_sent_and_deleted_together_is_one_row(
    make_queue: MakeQueue, database_url: str, name: str, *, fifo: bool
) -> None:
    queue = make_queue(name, fifo=fifo, block_from=50)
    queue.send(messages(2049))

    def kept() -> tuple[int, int]:
        return count(database_url, "queue_block"), count(database_url, "queue_message")

    assert kept() == (2, 49)
    received = queue.receive(3000)
    assert [message.body for message in received] == [str(n) for n in range(2049)]
    assert len({message.message_id for message in received}) == 2049
    assert kept() == (2, 49)
    assert queue.delete(handles(received)) == []
    assert kept() == (0, 0)
    assert count(database_url, "queue_lease") == 0


@pytest.mark.parametrize(("name", "fifo"), [("distributing", True), ("db1", False)])
def test_large_messages_come_a_few_at_a_time(
    make_queue: MakeQueue, database_url: str, name: str, *, fifo: bool
) -> None:
    """Thousands of them in one batch would fill the memory of the consumer."""
    queue = make_queue(name, fifo=fifo, block_from=50)
    text = secrets.token_hex(100_000)
    queue.send([OutgoingMessage(f"{n:06}{text}", {}, f"g{n}", str(n)) for n in range(200)])
    assert count(database_url, "queue_block") == 0
    in_flight: list[QueueMessage] = []
    while received := queue.receive(5000):
        assert sum(len(message.body) for message in received) < 25_000_000
        in_flight += received
    assert [int(message.body[:6]) for message in in_flight] == list(range(200))


def test_a_message_keeps_its_ids_when_its_block_is_taken_apart(make_queue: MakeQueue) -> None:
    queue = make_queue(block_from=1)
    queue.send(messages(3))
    first = queue.receive(3)
    assert queue.delete([first[1].receipt_handle]) == []
    queue.change_visibility(handles([first[0], first[2]]), 0)
    again = queue.receive(3)
    assert [(m.message_id, m.sequence_number, m.sent_at) for m in again] == [
        (m.message_id, m.sequence_number, m.sent_at) for m in (first[0], first[2])
    ]


def test_a_message_of_a_block_is_not_sent_again_with_others(make_queue: MakeQueue) -> None:
    """Whatever of the two came as a block; what is new of the second is sent."""
    for block_first, block_second in ((1, None), (None, 1), (1, 1)):
        first, second = make_queue(block_from=block_first), make_queue(block_from=block_second)
        start = 10_000 * (1 + 2 * bool(block_first) + bool(block_second))
        first.send(messages(3, start))
        second.send(messages(3, start + 2))
        received = first.receive(10)
        received += first.receive(10)
        assert [int(m.body) - start for m in received] == [0, 1, 2, 3, 4]
        assert first.delete(handles(received)) == []


def test_a_block_that_waits_costs_a_receive_nothing(
    make_queue: MakeQueue, database_url: str
) -> None:
    """However long the queue, and whatever the planner knows of it."""
    queue = make_queue(block_from=50)
    for start in range(0, 20_000, 100):
        queue.send(messages(100, start))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ANALYZE queue_block, queue_deduplication_block")

    def hop() -> None:
        received = queue.receive(100)
        assert len(received) == 100
        assert queue.delete(handles(received)) == []
        queue.send(messages(100, 50_000 + int(received[0].body)))

    hop()
    assert cost(database_url, TOAST_PAGES_READ, queue, hop) < 100


def test_a_peek_looks_into_blocks(make_queue: MakeQueue, database_url: str) -> None:
    make_queue(block_from=1).send(messages(3))
    with closing(Database(database_url, QueueUnavailable)) as database:
        seen = PostgresQueueAdmin(database).peek("distributing", 2)
    assert [(m.body, m.group_id, m.receive_count) for m in seen] == [("0", "g0", 0), ("1", "g1", 0)]


def test_old_blocks_of_deduplication_ids_are_removed_as_new_ones_come(
    make_queue: MakeQueue, database_url: str
) -> None:
    queue = make_queue(block_from=1)
    queue.send(messages(10))
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE queue_deduplication_block SET sent_at = sent_at - interval '301 s'"
        )
    queue.send(messages(10, 10))
    assert count(database_url, "queue_deduplication_block") == 1
    queue.send(messages(10))
    assert [m.body for m in queue.receive(100)] == [str(n) for n in [*range(20), *range(10)]]


def count(database_url: str, table: str) -> int:
    with psycopg.connect(database_url) as connection:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_old_deduplication_ids_are_removed_as_new_ones_come(
    make_queue: MakeQueue, database_url: str
) -> None:
    queue = make_queue()
    queue.send(messages(1000))

    def remembered() -> int:
        return count(database_url, "queue_deduplication")

    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE queue_deduplication SET sent_at = sent_at - interval '301 s'")
    queue.send(messages(200, 1000))
    assert remembered() == 1000 + 200 - 400
    queue.send(messages(200, 2000))
    queue.send(messages(200, 3000))
    assert remembered() == 600
    assert queue.forget_deduplication(10_000) == 0


def test_senders_at_once_keep_the_order_of_their_groups(make_queue: MakeQueue) -> None:
    """And a consumer that reads while they send misses nothing, though small sends are faster."""
    senders = {5000: make_queue(), 20: make_queue(), 1: make_queue()}
    consumer = make_queue()
    sends = {5000: 4, 20: 150, 1: 300}

    def send(size: int) -> None:
        for start in range(0, size * sends[size], size):
            senders[size].send(
                [
                    OutgoingMessage(f"{size}.{n}", {}, f"g{size}", f"{size}.{n}")
                    for n in range(start, start + size)
                ]
            )

    threads = [threading.Thread(target=send, args=[size]) for size in senders]
    for thread in threads:
        thread.start()
    seen: dict[str, list[int]] = {}
    while received := consumer.receive(1000, wait_s=2):
        for message in received:
            size, _, number = message.body.partition(".")
            seen.setdefault(size, []).append(int(number))
        assert consumer.delete(handles(received)) == []
    for thread in threads:
        thread.join()
    assert seen == {str(size): list(range(size * sends[size])) for size in senders}


@pytest.mark.parametrize(("name", "fifo"), [("distributing", True), ("db1", False)])
def test_what_is_sent_during_a_receive_keeps_its_order(
    make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch, name: str, *, fifo: bool
) -> None:
    """A batch of a block and a row behind it, committed between any two statements of a receive."""
    receiving = make_queue(name, fifo=fifo, block_from=50)
    sending = make_queue(name, fifo=fifo, block_from=50)
    moments: list[str] = []

    def interposed(cursor: psycopg.Cursor[Row], statement: str, **parameters: object) -> list[Row]:
        rows = execute(cursor, statement, **parameters)
        moments.append(statement)
        if len(moments) - 1 == moment:
            with monkeypatch.context() as undisturbed:
                undisturbed.setattr(queue_module, "execute", execute)
                sending.send(messages(MAX_MESSAGES + 1, start=10_000 * moment))
        return rows

    for moment in itertools.count():
        moments.clear()
        with monkeypatch.context() as during:
            during.setattr(queue_module, "execute", interposed)
            received = receiving.receive(5000)
        if moment >= len(moments):
            break
        bodies: list[str] = []
        while len(bodies) <= MAX_MESSAGES:
            bodies += [message.body for message in received]
            receiving.delete(handles(received))
            received = receiving.receive(5000, wait_s=0 if len(bodies) > MAX_MESSAGES else 5)
        expected = range(10_000 * moment, 10_000 * moment + MAX_MESSAGES + 1)
        assert bodies == [str(n) for n in expected], moments[moment]
    assert "pick" in moments


def test_declaring_again_updates_and_keeps_the_messages(
    make_queue: MakeQueue, database_url: str
) -> None:
    queue = make_queue()
    queue.send(messages(1))
    database = Database(database_url, QueueUnavailable)
    specs = [replace(TOPOLOGY.queues[0], local_visibility_timeout_s=7, max_receive_count=2)]
    for _ in range(2):
        declare_queues(database, specs)
    with database.connection() as connection:
        rows = connection.execute(
            "SELECT q.name, q.visibility_timeout_s, q.max_receive_count, d.name"
            " FROM queue q LEFT JOIN queue d ON d.queue_id = q.dead_letter_queue_id"
            " WHERE q.name NOT LIKE '%command%' ORDER BY q.queue_id"
        ).fetchall()
    database.close()
    assert rows == [
        ("distributing-dlq", 7, None, None),
        ("distributing", 7, 2, "distributing-dlq"),
        ("db1-dlq", 120, None, None),
        ("db1", 120, 5, "db1-dlq"),
    ]
    assert [message.body for message in queue.receive(10)] == ["0"]


def test_a_queue_that_is_not_declared_is_named(make_queue: MakeQueue) -> None:
    with pytest.raises(NotFound, match="'nowhere'"):
        make_queue("nowhere").receive(1)
    with pytest.raises(ConfigurationError, match="'db1'"):
        make_queue("db1", fifo=True).receive(1)


@pytest.mark.parametrize("handle", ["", "x", "x:1", "00000000-0000-0000-0000-000000000000:1"])
def test_a_handle_that_is_none_deletes_nothing(make_queue: MakeQueue, handle: str) -> None:
    queue = make_queue()
    queue.send(messages(1))
    received = queue.receive(1)
    assert queue.delete([handle, *handles(received)]) == [handle]


def test_an_idle_consumer_costs_the_server_nothing(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.receive(1)
    with queue._database.connection() as connection:  # noqa: SLF001 - its statistics are its session's
        pid = connection.info.backend_pid
    before_s = cpu_s(pid)
    assert queue.receive(1, wait_s=2) == []
    assert cpu_s(pid) - before_s < 0.05


def cpu_s(pid: int) -> float:
    return sum(psutil.Process(pid).cpu_times()[:2])
