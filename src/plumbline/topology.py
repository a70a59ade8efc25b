"""The one description of functions, queues, event sources and schedules.

The local runtime runs from it; a test holds the Terraform plan against it. Where one machine
needs another number than AWS, both stand here side by side: AWS limits a batch from a FIFO queue
to 10 and bills by request, while on one machine a batch costs a database transaction.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Function:
    """One function; times in seconds, memory in MB."""

    name: str
    handler: str
    timeout_s: int
    memory_mb: int
    alone: bool = False
    """At most one run at a time (reserved concurrency 1)."""
    by_hand: bool = False
    """Invoked by people, on AWS alone: on one machine its work is a command."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """One queue and its dead-letter queue."""

    name: str
    fifo: bool
    visibility_timeout_s: int
    local_visibility_timeout_s: int
    retention_s: int = 345_600
    max_receive_count: int = 5
    dead_letter_retention_s: int = 1_209_600
    accounted: bool = True
    """Its messages are deliveries of the ledger; commands are not."""

    @property
    def dead_letter_queue(self) -> str:
        """Name of the dead-letter queue."""
        return f"{self.name}-dlq"


@dataclass(frozen=True, slots=True)
class EventSource:
    """Which queue feeds which function, in what batches."""

    queue: str
    function: str
    batch_size: int
    window_s: int
    max_concurrency: int
    local_batch_size: int
    local_window_s: float
    local_concurrency: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A function that runs by the clock."""

    name: str
    function: str
    period_s: int
    local_period_s: float
    max_retries: int = 2


@dataclass(frozen=True, slots=True)
class Drain:
    """How much the parsing function takes from the broker at once.

    A batch ends at ``batch_size`` messages, when nothing came for ``quiet_s``, or after
    ``linger_s``. A run ends when a batch was not full, or ``margin_s`` before its deadline.
    """

    batch_size: int
    linger_s: float
    quiet_s: float
    margin_s: float


@dataclass(frozen=True, slots=True)
class Topology:
    """All of it."""

    functions: tuple[Function, ...]
    queues: tuple[QueueSpec, ...]
    event_sources: tuple[EventSource, ...]
    schedules: tuple[Schedule, ...]
    drain: Drain
    local_drain: Drain

    def function(self, name: str) -> Function:
        """Return the function of that name."""
        return next(f for f in self.functions if f.name == name)

    def queue(self, name: str) -> QueueSpec:
        """Return the queue of that name."""
        return next(q for q in self.queues if q.name == name)

    def schedule(self, name: str) -> Schedule:
        """Return the schedule of that name."""
        return next(s for s in self.schedules if s.name == name)


TOPOLOGY = Topology(
    functions=(
        Function("parsing", "plumbline.lambdas.parsing.handler", 60, 512, alone=True),
        Function("distributing", "plumbline.lambdas.distributing.handler", 30, 256),
        Function("db1", "plumbline.lambdas.db1.handler", 120, 512),
        Function("sync", "plumbline.lambdas.sync.handler", 120, 512, alone=True),
        Function("maintenance", "plumbline.lambdas.maintenance.handler", 300, 256, alone=True),
        Function("mqtt_command", "plumbline.lambdas.mqtt_command.handler", 30, 256),
        Function("lorawan_command", "plumbline.lambdas.lorawan_command.handler", 30, 256),
        Function(
            "migrate", "plumbline.lambdas.migrate.handler", 300, 512, alone=True, by_hand=True
        ),
        Function("operate", "plumbline.cli.operate.handler", 120, 512, by_hand=True),
    ),
    queues=(
        QueueSpec(
            "distributing", fifo=True, visibility_timeout_s=180, local_visibility_timeout_s=60
        ),
        QueueSpec("db1", fifo=False, visibility_timeout_s=720, local_visibility_timeout_s=120),
        QueueSpec(
            "mqtt-command",
            fifo=True,
            visibility_timeout_s=180,
            local_visibility_timeout_s=180,
            accounted=False,
        ),
        QueueSpec(
            "lorawan-command",
            fifo=True,
            visibility_timeout_s=180,
            local_visibility_timeout_s=180,
            accounted=False,
        ),
    ),
    event_sources=(
        EventSource(
            "distributing",
            "distributing",
            batch_size=10,
            window_s=0,
            max_concurrency=10,
            local_batch_size=5000,
            local_window_s=0.0,
            local_concurrency=1,
        ),
        EventSource(
            "db1",
            "db1",
            batch_size=25,
            window_s=1,
            max_concurrency=10,
            local_batch_size=5000,
            local_window_s=0.0,
            local_concurrency=1,
        ),
        # Two is the least that AWS takes; see ADR 0011 for two that share one user at the broker.
        EventSource(
            "mqtt-command",
            "mqtt_command",
            batch_size=10,
            window_s=0,
            max_concurrency=2,
            local_batch_size=100,
            local_window_s=0.0,
            local_concurrency=1,
        ),
        EventSource(
            "lorawan-command",
            "lorawan_command",
            batch_size=10,
            window_s=0,
            max_concurrency=2,
            local_batch_size=100,
            local_window_s=0.0,
            local_concurrency=1,
        ),
    ),
    schedules=(
        Schedule("ingestion", "parsing", period_s=300, local_period_s=1.0),
        Schedule("sync", "sync", period_s=300, local_period_s=5.0),
        Schedule("maintenance", "maintenance", period_s=86_400, local_period_s=3600.0),
    ),
    drain=Drain(batch_size=1000, linger_s=2.0, quiet_s=0.5, margin_s=10.0),
    local_drain=Drain(batch_size=2000, linger_s=0.5, quiet_s=0.05, margin_s=5.0),
)
