"""A function that does not come back ends its process."""

import threading
from pathlib import Path
from typing import Any

from plumbline.adapters.watchdog import Heart, Watchdog
from plumbline.local.function_status import StatusFile
from plumbline.local.schedule import ScheduleThread
from plumbline.topology import TOPOLOGY


def test_a_run_that_does_not_come_back_is_noticed(tmp_path: Path) -> None:
    stop, hang, ended = threading.Event(), threading.Event(), threading.Event()
    named: list[str] = []

    def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
        del event, context
        hang.wait(30)
        stop.set()
        return {}

    watchdog = Watchdog(named.append, ended.set, tick_s=0.01)
    thread = ScheduleThread(
        schedule=TOPOLOGY.schedule("ingestion"),
        function=TOPOLOGY.function("parsing"),
        handler=handler,
        period_s=3600,
        status=StatusFile(tmp_path, "parsing"),
        heart=watchdog.heart("parsing", 0.05),
        stop=stop,
    )
    watchdog.start()
    thread.start()
    assert ended.wait(10)
    assert named == ["parsing"]
    hang.set()
    thread.join(10)


def test_who_rests_or_beats_is_left_alone() -> None:
    resting, beating = Heart("resting", 90), Heart("beating", 90)
    resting.beat()
    resting.rest()
    for _ in range(100):
        beating.beat()
        assert not beating.grow_older(90)
        assert not resting.grow_older(90)


def test_who_is_silent_for_longer_than_the_limit_is_not() -> None:
    heart = Heart("silent", 90)
    heart.beat()
    assert not heart.grow_older(90)
    assert heart.grow_older(1)
