"""Puts stored commands into the queue of their protocol, in the order of their storing.

Every worker process has one; they take turns. The request that stored a command wakes its own, and
each looks by itself now and then, so that a command stored just before a crash goes on its way.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from starlette.concurrency import run_in_threadpool

from plumbline.adapters.postgres.async_database import AsyncDatabase
from plumbline.adapters.postgres.commands import Relaying, Unrelayed
from plumbline.codecs.command_json import encode
from plumbline.errors import PlumblineError
from plumbline.ports import OutgoingMessage, Queue

_log = logging.getLogger(__name__)
_LOOK_EVERY_S = 5.0
_AFTER_FAILURE_S = 1.0

COMMAND_QUEUES: Mapping[str, str] = {"mqtt": "mqtt-command", "lorawan": "lorawan-command"}
"""The queue of each protocol."""


class CommandRelay:
    """The relay of one process.

    Args:
        database: With the commands.
        queue: Returns the queue of a name, for the calling thread.
    """

    def __init__(self, database: AsyncDatabase, queue: Callable[[str], Queue]) -> None:
        self._database = database
        self._queue = queue
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look soon."""
        self._woken.set()

    async def run(self) -> None:
        """Relay until cancelled."""
        while True:
            wait_s = _LOOK_EVERY_S
            self._woken.clear()
            try:
                while await self.relay_once():
                    pass
            except PlumblineError as error:
                _log.warning("command_relay_failed", extra={"error": str(error)})
                wait_s = _AFTER_FAILURE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()

    async def relay_once(self) -> int:
        """Relay what waits; return how many the queues accepted.

        A crash after a queue accepted a command and before that is remembered repeats it with the
        same deduplication id; a device does a command id once.

        Raises:
            StoreUnavailable, QueueUnavailable: What waits goes on waiting.
        """
        async with self._database.connection() as connection, connection.transaction():
            turn = Relaying(connection)
            if not await turn.begin():
                return 0
            waiting = await turn.waiting()
            accepted = await run_in_threadpool(self._send, waiting) if waiting else []
            await turn.mark([one.command.command_id for one in accepted])
        return len(accepted)

    def _send(self, waiting: list[Unrelayed]) -> list[Unrelayed]:
        accepted = []
        for protocol, name in COMMAND_QUEUES.items():
            of_queue = [one for one in waiting if one.protocol == protocol]
            if not of_queue:
                continue
            failures = self._queue(name).send([_message(one) for one in of_queue])
            failed = {failure.index for failure in failures}
            accepted += [one for index, one in enumerate(of_queue) if index not in failed]
        return accepted


def _message(one: Unrelayed) -> OutgoingMessage:
    return OutgoingMessage(
        encode(one.command),
        attributes={"type": "command", "device_id": one.command.device_id},
        group_id=one.command.device_id,
        deduplication_id=str(one.command.command_id),
    )
