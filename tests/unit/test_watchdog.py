"""A function that does not come back ends its process."""

import threading
from pathlib import Path
from typing import Any

from plumbline.local.function_status import StatusFile
from plumbline.local.schedule import ScheduleThread
from plumbline.local.watchdog import Watchdog
from plumbline.topology import TOPOLOGY

FUNCTION = TOPOLOGY.function("parsing")


def test_a_run_that_does_not_come_back_is_noticed(tmp_path: Path) -> None:
    stop, hang, noticed = threading.Event(), threading.Event(), threading.Event()
    ended: list[str] = []

    def end(name: str) -> None:
        ended.append(name)
        noticed.set()

    watchdog = Watchdog(end, tick_s=0.01)
    heart = watchdog.heart(FUNCTION)
    heart.limit_s = 0.05

    def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
        del event, context
        hang.wait(30)
        stop.set()
        return {}

    thread = ScheduleThread(
        schedule=TOPOLOGY.schedule("ingestion"),
        function=FUNCTION,
        handler=handler,
        period_s=3600,
        status=StatusFile(tmp_path, "parsing"),
        heart=heart,
        stop=stop,
    )
    watchdog.start()
    thread.start()
    assert noticed.wait(10)
    assert ended == ["parsing"]
    hang.set()
    thread.join(10)


def test_a_function_that_rests_or_beats_is_left_alone() -> None:
    watchdog = Watchdog()
    resting, beating = watchdog.heart(FUNCTION), watchdog.heart(FUNCTION)
    resting.beat()
    resting.rest()
    for _ in range(100):
        beating.beat()
        assert not beating.grow_older(FUNCTION.timeout_s)
        assert not resting.grow_older(FUNCTION.timeout_s)


def test_the_margin_is_beyond_the_functions_timeout() -> None:
    heart = Watchdog().heart(FUNCTION)
    heart.beat()
    assert not heart.grow_older(FUNCTION.timeout_s + 29)
    assert heart.grow_older(2)
