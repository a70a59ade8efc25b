"""Looks at passwords without holding up other requests."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

from plumbline.ports import PasswordHasher

# A third of a core beside a request that wants all of it; all of it where nobody else wants it.
_NICER_BY = 5
_NICEST = 19


class HashingThread:
    """One thread that hashes, one password after the other, and gives way to everything else.

    When a whole shift signs in at once, each of them waits a little longer, and nobody else.
    """

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._thread = ThreadPoolExecutor(1, "hashing", initializer=_give_way)

    async def verify(self, password_hash: str, password: str) -> bool:
        """Tell whether it is the hash of the password."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, self._hasher.verify, password_hash, password
        )


def _give_way() -> None:
    # On Linux each thread has a priority of its own.
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    nicer = min(ours + _NICER_BY, _NICEST)
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nicer)
