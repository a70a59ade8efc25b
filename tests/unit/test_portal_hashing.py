"""Hashing passwords gives way to other requests."""

import asyncio
import os
import threading

from plumbline.portal.hashing import HashingThread


class _Watching:
    """A hasher that notes in which thread and with which priority it works."""

    def __init__(self) -> None:
        self.seen: set[tuple[int, int]] = set()

    def hash(self, password: str) -> str:
        return password

    def verify(self, password_hash: str, password: str) -> bool:
        thread = threading.get_native_id()
        self.seen.add((thread, os.getpriority(os.PRIO_PROCESS, thread)))
        return password_hash == password


def test_passwords_are_hashed_one_at_a_time_and_give_way_to_requests() -> None:
    hasher = _Watching()
    hashing = HashingThread(hasher)

    async def verify_many() -> list[bool]:
        return list(await asyncio.gather(*(hashing.verify("a", text) for text in "abcabc")))

    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert asyncio.run(verify_many()) == [True, False, False] * 2
    ((thread, priority),) = hasher.seen
    assert thread != threading.get_native_id()
    assert priority == min(ours + 5, 19)
    assert os.getpriority(os.PRIO_PROCESS, 0) == ours
