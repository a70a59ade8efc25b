"""One life of the system: everything wired, run, healed, and judged."""

import hashlib
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

from fakes import MemoryQueue, MemoryQueueAdmin
from plumbline.adapters.run_lock import ReservedConcurrencyLock
from plumbline.application.distribute import Distribute
from plumbline.application.intake import Intake
from plumbline.application.parse import Parse
from plumbline.application.persist import Persist
from plumbline.application.sync import Sync
from plumbline.codecs.queue_message import DELIVERY_ATTRIBUTE, READING, TYPE_ATTRIBUTE
from plumbline.codecs.reading_json import decode_reading
from plumbline.domain.ledger import LedgerAccount
from plumbline.domain.reading import Reading
from plumbline.errors import TransientError
from plumbline.ports import OutgoingMessage, Queue, QueueMessage, SendFailure
from plumbline.topology import TOPOLOGY
from proofs.simulation.broker import SimulatedBroker
from proofs.simulation.commanding import Commanding
from proofs.simulation.devices import SimulatedDevice, Witness
from proofs.simulation.faults import Faults, FaultyQueue, FaultyStore, Killed, Severity
from proofs.simulation.store import MemoryCache, MemoryStore
from proofs.simulation.time import JumpingClock, Process, Scheduler

_HOUR_S = 3600.0
_POLL_S = 60.0
_RESTART_S = 5.0
_LONGEST_JUMP_S = 900.0
# Beyond the longest life of a command, and the time that an answer may take.
_SETTLING_S = 2 * _HOUR_S

Asked = tuple[Reading, str]
"""A reading on its way to the standard queue, and its delivery id."""

Work = Callable[[Sequence[QueueMessage]], set[str]]
"""Does a batch and returns the ids of the messages that failed."""


_USUAL = Severity()


@dataclass(frozen=True, slots=True)
class Life:
    """What one life is made of.

    Attributes:
        seed: Of everything that is random.
        hours: Of publishing, and of faults.
        severity: Of the faults; None for a life without any.
    """

    seed: str
    hours: float = 24.0
    devices: int = 5
    severity: Severity | None = _USUAL


class World:
    """The wiring."""

    def __init__(self, life: Life, trace: TextIO | None = None) -> None:
        self._life = life
        self._trace = trace
        self._digest = hashlib.sha256()
        self.scheduler = Scheduler()
        self._rng = random.Random(life.seed)
        self.faults = Faults(self._fork("faults"), life.severity, self.record)
        self.clock = JumpingClock(self.scheduler)
        self.broker = SimulatedBroker(self.clock, self.faults)
        self.witness = Witness()
        self._ids = self._fork("ids")
        self.queues = {name: self._queue(name) for name in ("distributing", "db1")}
        self.commanding = Commanding(
            fork=self._fork,
            record=self.record,
            scheduler=self.scheduler,
            clock=self.clock,
            faults=self.faults,
            broker=self.broker,
            queue=self._queue,
            events=self.queues["distributing"],
        )
        self.store = MemoryStore(self.commanding.rows)
        self.cache = MemoryCache()
        self.buried: set[str] = set()
        self.wrong: list[str] = []
        self.forwarded: dict[str, list[Asked]] = {}
        self.admin = MemoryQueueAdmin(*self.queues.values())
        self.devices = [
            SimulatedDevice(
                number,
                rng=self._fork(f"device {number}"),
                clock=self.scheduler,
                broker=self.broker,
                witness=self.witness,
                record=self.record,
            )
            for number in range(life.devices)
        ]

    def _fork(self, name: str) -> random.Random:
        """Return randomness of its own: one part's draws move no other part's."""
        return random.Random(f"{self._life.seed}/{name}")

    def _queue(self, name: str) -> MemoryQueue:
        spec = TOPOLOGY.queue(name)
        dead = MemoryQueue(
            spec.dead_letter_queue, fifo=spec.fifo, clock=self.scheduler, new_id=self._new_id
        )
        return MemoryQueue(
            name,
            fifo=spec.fifo,
            clock=self.scheduler,
            visibility_timeout_s=spec.visibility_timeout_s,
            max_receive_count=spec.max_receive_count,
            dead_letters=dead,
            new_id=self._new_id,
        )

    def _new_id(self) -> str:
        return f"{self._ids.getrandbits(64):016x}"

    def record(self, line: str) -> None:
        """Write one line of the trace."""
        text = f"{self.scheduler.elapsed_s:.6f} {line}\n"
        self._digest.update(text.encode())
        if self._trace is not None:
            self._trace.write(text)

    @property
    def digest(self) -> str:
        """SHA-256 of the trace so far, in hexadecimal digits."""
        return self._digest.hexdigest()

    # --- the run --------------------------------------------------------------------------

    def run(self) -> None:
        """Live through the hours, then let everything come to rest."""
        start = self.scheduler.start
        for device in self.devices:
            start(device.run())
        start(self._parsing())
        for number in range(2):
            start(self._event_source("distributing", number, self._distributing))
        for number in range(3):
            start(self._event_source("db1", number, self._persisting))
        start(self._sync())
        self._start_commands()
        if self._life.severity is not None:
            for part in ("queues", "database", "cache", *self.broker.addresses()):
                start(self._outages(part, self._life.severity))
            start(self._clock_jumps(self._life.severity))
        start(self._accounts())
        self.scheduler.run_until(self._life.hours * _HOUR_S)
        self.record("the faults end")
        self.faults.active = False
        self.faults.away.clear()
        self.clock.ahead_s = 0.0
        for device in self.devices:
            device.publishes = False
        self.commanding.issues = False
        self._settle()

    def _start_commands(self) -> None:
        start = self.scheduler.start
        commanding = self.commanding
        start(commanding.operator())
        for number in range(2):
            start(commanding.relay(number, self._process))
        for name, queue in commanding.queues.items():
            send = commanding.sender(name)
            for number in range(2):
                start(self._event_source(name, number, send, queue))
        for life in commanding.devices():
            start(life)

    def _settle(self) -> None:
        """Come to rest; an operator brings back what was given up, until all is done."""
        for _ in range(5):
            self.scheduler.run_until(self.scheduler.elapsed_s + _SETTLING_S)
            if not any(self._redrive(queue) for queue in self.queues.values()):
                return

    def _redrive(self, queue: MemoryQueue) -> bool:
        assert queue.dead_letters is not None  # noqa: S101 - made with one
        dead = queue.dead_letters.peek(1_000_000)
        self.buried |= {m.attributes.get(DELIVERY_ATTRIBUTE, "") for m in dead}
        return self.admin.redrive(queue.dead_letters.name) > 0

    def account(self) -> LedgerAccount:
        """Return the account as it stands."""
        waiting = [m for queue in self.queues.values() for m in queue.peek(1_000_000)]
        dead = [
            message
            for queue in self.queues.values()
            if queue.dead_letters is not None
            for message in queue.dead_letters.peek(1_000_000)
        ]
        return self.store.account(waiting, dead)

    # --- the processes --------------------------------------------------------------------

    @contextmanager
    def _process(self, name: str) -> Iterator[None]:
        """A process that may be killed, and logs what it cannot do now."""
        try:
            yield
        except Killed:
            self.record(f"{name} starts again")
        except TransientError as error:
            self.record(f"{name}: {type(error).__name__}")

    def _parsing(self) -> Process:
        ids = self._fork("batches")
        counter = itertools.count()

        def batch_id(now: datetime) -> str:
            milliseconds = int(now.timestamp() * 1000)
            return f"{milliseconds:012x}{next(counter):06x}{ids.getrandbits(24):06x}"

        queue = FaultyQueue(self.queues["distributing"], self.faults)
        while True:
            yield 60.0
            with self._process("parsing"):
                intake = Intake(queue, self.clock, batch_ids=batch_id)
                parse = Parse(self.broker, intake, ReservedConcurrencyLock(), TOPOLOGY.drain)
                report = parse.run(lambda: 60.0)
                if report.messages:
                    self.record(f"parsed {report}")

    def _distributing(self, messages: Sequence[QueueMessage]) -> set[str]:
        to = _WatchedQueue(self.queues["db1"], self.faults, self.forwarded)
        return set(Distribute({"db1": to}).run(messages))

    def _persisting(self, messages: Sequence[QueueMessage]) -> set[str]:
        report = Persist(FaultyStore(self.store, self.faults)).run(messages)
        self.record(f"persisted {report.outcome}")
        return set(report.failed)

    def _event_source(
        self, name: str, number: int, work: Work, of: MemoryQueue | None = None
    ) -> Process:
        """Feed a function from a queue, as Lambda's event source mapping does."""
        queue = FaultyQueue(of or self.queues[name], self.faults)
        batch_size = next(s for s in TOPOLOGY.event_sources if s.queue == name).batch_size
        longest_s = self._timeout_s(name)
        rng = self._fork(f"{name} {number}")
        who = f"{name} {number}"
        while True:
            messages: list[QueueMessage] = []
            with self._process(who):
                messages = queue.receive(batch_size)
            if not messages:
                yield rng.uniform(0.5, 1.0) * _POLL_S
                continue
            # A function works for its timeout at most; a machine may stand still for longer.
            stalls = self.faults.strikes(f"{who} stands still")
            work_s = rng.uniform(0.05, 10 * longest_s if stalls else longest_s)
            yield work_s * 0.9
            failed = {message.message_id for message in messages}
            with self._process(who):
                failed = work(messages)
            yield work_s * 0.1
            handles = [m.receipt_handle for m in messages if m.message_id not in failed]
            if handles:
                with self._process(who):
                    expired = queue.delete(handles)
                    if expired and not stalls:
                        self.wrong.append(f"{name}: messages came again during the work on them")
            self.record(f"{who} worked off {len(handles)} of {len(messages)}")

    def _timeout_s(self, queue: str) -> float:
        source = next(s for s in TOPOLOGY.event_sources if s.queue == queue)
        return float(TOPOLOGY.function(source.function).timeout_s)

    def _sync(self) -> Process:
        while True:
            yield 300.0
            if "cache" in self.faults.away or "database" in self.faults.away:
                continue
            if self.faults.strikes("the cache loses everything"):
                self.cache.statuses.clear()
            before = dict(self.cache.statuses)
            Sync(self.store, self.cache, self.scheduler).run()
            for device_id, status in before.items():
                if self.cache.statuses[device_id].last_seen < status.last_seen:
                    self.wrong.append(f"the cache went back for {device_id}")

    def _outages(self, part: str, severity: Severity) -> Process:
        rng = self._fork(f"outages of {part}")
        while True:
            yield rng.expovariate(1 / severity.outage_every_s)
            if not self.faults.active:
                return
            self.faults.note(f"{part} is away")
            self.faults.away.add(part)
            yield rng.uniform(1, severity.outage_s)
            self.faults.away.discard(part)

    def _clock_jumps(self, severity: Severity) -> Process:
        rng = self._fork("clock")
        while True:
            yield rng.expovariate(1 / severity.outage_every_s)
            if not self.faults.active:
                return
            self.faults.note("the clock jumps")
            self.clock.ahead_s = rng.choice([0.0, rng.uniform(-1, 1) * _LONGEST_JUMP_S])

    def _accounts(self) -> Process:
        """The account balances at every moment, not only at the end."""
        while True:
            yield _HOUR_S
            account = self.account()
            self.record(f"account {account.total}")
            if not account.balanced:
                self.wrong.append(f"the account does not balance: {account.mismatches[:3]}")


class _WatchedQueue(FaultyQueue):
    """Remembers in what order it was asked to take readings.

    What it does not take comes again, and may be behind the next then: a standard queue has no
    order.
    """

    def __init__(self, queue: Queue, faults: Faults, asked: dict[str, list[Asked]]) -> None:
        super().__init__(queue, faults)
        self._asked = asked

    def send(self, messages: Sequence[OutgoingMessage]) -> list[SendFailure]:
        for message in messages:
            if message.attributes.get(TYPE_ATTRIBUTE) == READING:
                reading = decode_reading(message.body)
                of_device = self._asked.setdefault(reading.device_id, [])
                of_device.append((reading, message.attributes[DELIVERY_ATTRIBUTE]))
        return super().send(messages)
