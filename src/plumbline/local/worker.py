"""A process that runs some of the functions: `python -m plumbline.local.worker FUNCTION…`."""

import gc
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from plumbline import bootstrap
from plumbline.adapters.watchdog import Heart, Watchdog
from plumbline.lambdas.runtime import load_handler, logger
from plumbline.local.event_source import EventSourceThread
from plumbline.local.function_status import StatusFile
from plumbline.local.schedule import ScheduleThread
from plumbline.settings import WorkerSettings, load
from plumbline.topology import TOPOLOGY, Function

_log = logger("worker")

_COLLECT_EVERY = 100_000
# Beyond its timeout, a function of Lambda's would have been ended.
_MARGIN_S = 30.0


def main(names: list[str]) -> None:
    """Run the named functions' schedules and event sources until SIGTERM or SIGINT."""
    settings = load(WorkerSettings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # A batch makes thousands of objects that die together: with the default of 700 the collector
    # would look for cycles, of which there are none, during a quarter of the time.
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)
    watchdog = Watchdog(lambda name: _log.critical("function_does_not_come_back", function=name))
    threads = [thread for name in names for thread in _threads(name, settings, watchdog, stop)]
    for thread in [*threads, watchdog]:
        thread.start()
    _log.info("worker_started", functions=names)
    stop.wait()
    for thread in threads:
        thread.join()
    watchdog.stop()
    _log.info("worker_stopped", functions=names)


def _threads(
    name: str, settings: WorkerSettings, watchdog: Watchdog, stop: threading.Event
) -> list[ScheduleThread | EventSourceThread]:
    function = TOPOLOGY.function(name)
    handler = load_handler(function)
    status = StatusFile(Path(settings.plumbline_run_dir) / "functions", name)
    periods = {
        "ingestion": settings.plumbline_ingest_every_s,
        "sync": settings.plumbline_sync_every_s,
    }
    threads: list[ScheduleThread | EventSourceThread] = []
    for schedule in TOPOLOGY.schedules:
        if schedule.function == name:
            period_s = periods.get(schedule.name, schedule.local_period_s)
            threads.append(
                ScheduleThread(
                    schedule=schedule,
                    function=function,
                    handler=handler,
                    period_s=period_s,
                    status=status,
                    heart=_heart(watchdog, function),
                    stop=stop,
                )
            )
    for source in TOPOLOGY.event_sources:
        if source.function == name:
            for number in range(source.local_concurrency):
                holder = f"{name}.{number}"
                url = settings.database_url.reveal()
                queue = bootstrap.local_queue(url, source.queue, holder=holder)
                threads.append(
                    EventSourceThread(
                        source=source,
                        max_receive_count=TOPOLOGY.queue(source.queue).max_receive_count,
                        function=function,
                        handler=handler,
                        queue=queue,
                        release=partial(queue.release, holder),
                        status=status,
                        heart=_heart(watchdog, function),
                        stop=stop,
                    )
                )
    return threads


def _heart(watchdog: Watchdog, function: Function) -> Heart:
    return watchdog.heart(function.name, function.timeout_s + _MARGIN_S)


if __name__ == "__main__":
    main(sys.argv[1:])
