"""How far a simulation is, on a terminal; silence elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from plumbline.simulator.config import SimulationConfig
from plumbline.simulator.summary import SimulationSummary


class Show(Protocol):
    """Shows the present state."""

    def __call__(self, summary: SimulationSummary, elapsed_s: float) -> None:
        """Show the counts and the time since the start."""


@contextmanager
def progress(config: SimulationConfig, messages: TextIO) -> Iterator[Show]:
    """Yield a function that shows the state; at the end the bar stays."""
    if not messages.isatty():
        yield _nothing
        return
    # Here, because a process without a terminal need not hold it in memory.
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=messages), auto_refresh=False) as bar:
        total = config.duration_s if config.count is None else config.count
        task = bar.add_task(config.scenario, total=total, counts="")

        def show(summary: SimulationSummary, elapsed_s: float) -> None:
            counts = f"{summary.acknowledged:,} of {summary.published:,} acknowledged"
            completed = elapsed_s if config.count is None else summary.readings
            bar.update(task, completed=completed, counts=counts, refresh=True)

        yield show


def _nothing(summary: SimulationSummary, elapsed_s: float) -> None:
    """Show nothing."""
