"""TCP proxies between two parts, whose lines can be cut, slow, or silent."""

import asyncio
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

_CHUNK_BYTES = 65_536
_LOST_FOR_S = 0.3


@dataclass
class Link:
    """One proxy.

    Attributes:
        name: Of the two parts.
        port: Where it listens, on 127.0.0.1.
        to_port: Where it connects, on 127.0.0.1.
        delay_s: Added to all that passes, each way.
        lost: Fraction of chunks that are late, as by a retransmission.
        passing: Cleared, nothing passes, and no connection ends.
    """

    name: str
    port: int
    to_port: int
    delay_s: float = 0.0
    lost: float = 0.0
    passing: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _forsaken: set[asyncio.StreamWriter] = field(default_factory=set)

    def heal(self) -> None:
        """Let everything pass as it comes."""
        self.delay_s = self.lost = 0.0
        self.passing.set()

    def reset(self) -> None:
        """End all connections, without a word of farewell."""
        for writer in list(self._writers):
            _abort(writer)

    def forsake(self) -> None:
        """Let nothing more through on the connections there are, and tell neither end."""
        self._forsaken |= self._writers

    async def serve(self) -> None:
        """Accept connections until cancelled."""
        self.heal()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=1024)
        async with server:
            await server.serve_forever()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            _abort(writer)
            return
        self._writers |= {writer, back}
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        for end in (writer, back):
            self._writers.discard(end)
            end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK_BYTES):
                await self.passing.wait()
                late_s = _LOST_FOR_S if random.random() < self.lost else 0.0
                if self.delay_s or late_s:
                    await asyncio.sleep(self.delay_s + late_s)
                if writer in self._forsaken:
                    continue
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            _abort(writer)


def _abort(writer: asyncio.StreamWriter) -> None:
    connection: Any = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            # A reset, not an end: what is under way is gone.
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
    writer.transport.abort()


class Proxies:
    """All links, in a thread of their own."""

    def __init__(self, links: list[Link]) -> None:
        self.links = {link.name: link for link in links}
        self._loop = asyncio.new_event_loop()

    def do(self, name: str, action: Callable[[Link], None]) -> None:
        """Do something with a link, in its thread."""
        self._loop.call_soon_threadsafe(action, self.links[name])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve meanwhile."""
        thread = threading.Thread(target=self._run, name="proxies", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._stop)
            thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._serve())
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._main)
        self._loop.close()

    async def _serve(self) -> None:
        await asyncio.gather(*(link.serve() for link in self.links.values()))

    def _stop(self) -> None:
        for link in self.links.values():
            link.reset()
        self._main.cancel()
