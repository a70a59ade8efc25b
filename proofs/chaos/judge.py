"""Holds the system against what the devices know, when everything has settled."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from plumbline.adapters.redis import connect
from plumbline.adapters.redis_entries import status_key
from plumbline.domain.reading import format_time
from plumbline.domain.reason import Reason
from plumbline.simulator.verify_report import VerifyReport
from proofs.chaos.system_process import SystemUnderFire, logs_of
from proofs.chaos.watch import Watch

_READING_BEFORE = re.compile("the reading of (.*), stored")
_CACHE_WITHIN_S = 60.0
_OF_EACH = 5

ENDS = ("stored", "duplicates", "conflicts", "quarantined", "dead_lettered", "discarded")
"""What can become of a delivery."""

_NEVER_IN_LOGS = (
    "deadlock detected",
    "invocation_failed",
    "visibility_timeout_passed",
    "function_does_not_come_back",
    "Traceback",
)


@dataclass(slots=True)
class ChaosReport:
    """What the witness, the ledger and the database say, and what is wrong with it.

    Attributes:
        struck: How often what was done to what.
        truths: Of each witness.
        account: The ledger's.
        commands: How many were ordered.
        looks: How often the database, the cache and the portal were looked at meanwhile.
        replayed: Messages that were refused by a clock that was wrong, and taken later.
        wrong: What must not be.
    """

    struck: Counter[str] = field(default_factory=Counter)
    truths: list[VerifyReport] = field(default_factory=list)
    account: dict[str, Any] = field(default_factory=dict)
    commands: int = 0
    looks: list[int] = field(default_factory=list)
    replayed: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def judge_truth(truth: VerifyReport) -> Iterator[str]:
    """Yield where the database differs from what the devices know."""
    for difference in truth.differences:
        yield f"{difference.check}: {difference.device_id}: {difference.detail}"
    if not truth.ok and not truth.differences:
        yield f"verify: {truth.found}"


def judge_order(truth: VerifyReport, database_url: str) -> Iterator[str]:
    """Yield what is stored in another order than it was published.

    But for what a clock that was behind took for the future: it has lost its place, whether it
    comes again by itself, as a device's repetition, or is replayed.
    """
    with psycopg.connect(database_url) as connection:
        refused = {
            (device_id, datetime.fromisoformat(detail))
            for device_id, detail in connection.execute(
                "SELECT device_id, detail FROM quarantine WHERE reason = %s",
                [Reason.TIMESTAMP_IN_FUTURE.value],
            )
        }
    for one in truth.differences:
        if one.check == "order":
            before = _READING_BEFORE.search(one.detail)
            if before is None or (one.device_id, _moment(before)) not in refused:
                yield f"order: {one.device_id}: {one.detail}"


def _moment(found: re.Match[str]) -> datetime:
    return datetime.fromisoformat(found[1])


def judge_account(account: dict[str, Any], acknowledged: int) -> Iterator[str]:
    """Yield where the sums disagree, or something good has ended among the dead letters."""
    if account["messages"] < acknowledged:
        yield f"{acknowledged} messages were acknowledged, {account['messages']} received"
    ended = sum(account[name] for name in ENDS)
    if account["received"] != ended:
        yield f"{account['received']} deliveries were received, {ended} have an end"
    if account["dead_lettered"]:
        yield f"{account['dead_lettered']} deliveries ended among the dead letters"


def judge_watches(watches: Sequence[Watch]) -> Iterator[str]:
    """Yield what was seen meanwhile, the first of each."""
    for watch in watches:
        yield from watch.problems[:_OF_EACH]
        if len(watch.problems) > _OF_EACH:
            yield f"and {len(watch.problems) - _OF_EACH} more that {watch.name} has seen"
        if not watch.looks:
            yield f"{watch.name} has seen nothing"


def judge_cache(system: SystemUnderFire) -> Iterator[str]:
    """Yield where the cache is not the database's, as soon as the sync has run."""
    deadline = time.monotonic() + _CACHE_WITHIN_S
    while True:
        different = _different_in_cache(system)
        if not different or time.monotonic() > deadline:
            break
        time.sleep(1)
    for device_id in different:
        yield f"the cache has something else of {device_id} than the database"


def _different_in_cache(system: SystemUnderFire) -> list[str]:
    endpoints = system.endpoints
    cache = connect(endpoints.redis_url)
    try:
        with psycopg.connect(endpoints.database_url) as connection:
            rows = connection.execute("SELECT device_id, last_seen FROM device_status").fetchall()
        return [
            device_id
            for device_id, last_seen in rows
            if json.loads(str(cache.get(status_key(device_id)) or "{}")).get("last_seen")
            != format_time(last_seen)
        ]
    finally:
        cache.close()


def judge_logs(system: SystemUnderFire) -> Iterator[str]:
    """Yield what must not happen, even where it does no harm."""
    for text in _NEVER_IN_LOGS:
        count = logs_of(system.data_dir, text)
        if count:
            yield f"{text!r} stands in the logs {count} times"
