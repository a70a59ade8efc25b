"""Redis over one connection that all tasks of a process share.

Commands of all tasks of one turn of the event loop leave in one write, and answers are handed out
in their order. A pool hands every task a connection of its own: with 500 tasks that is twenty times
slower (docs/explanation/portal.md has the figures).

What was read stays at hand until Redis says that it has changed ("client-side caching": CLIENT
TRACKING of RESP3), and for ``KNOWN_FOR_S`` at most, should Redis or the network have gone silent.
"""

import asyncio
import contextlib
import ssl
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import hiredis

from plumbline.adapters.redis_access import SignIn, split_url
from plumbline.adapters.redis_known import AGE_EVERY_S, KnownValues
from plumbline.errors import CacheUnavailable, ConfigurationError, PlumblineError

_CONNECT_TIMEOUT_S = 0.5
_ANSWER_TIMEOUT_S = 0.5
# After a failure nobody asks again for so long: while Redis is away, requests do not wait for it.
_REST_S = 2.0
_DEFAULT_PORT = 6379
_SIGN_IN_EVERY_S = 11 * 3600.0

# Pushes its time to live only where that has become shorter by so much: writing ends what others
# have at hand.
_SLIDE_MS = 1000
_GET_SLIDING = """
local left, wanted = redis.call('PTTL', KEYS[1]), 1000 * ARGV[1]
if left > 0 and left <= wanted - ARGV[2] then redis.call('PEXPIRE', KEYS[1], wanted) end
return redis.call('GET', KEYS[1])
"""
_TRACKING = (("HELLO", "3"), ("CLIENT", "TRACKING", "ON"))
_INCOMPLETE = object()


class MultiplexedRedis:
    """One connection, opened at the first command and again after it broke; for one event loop.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, with password and database number, or one
            with ``+iam``.
        sign_in_every_s: How often a connection with a token signs in again; ElastiCache ends it
            after twelve hours without.

    Raises:
        ConfigurationError: Not such a URL.
    """

    def __init__(self, url: str, *, sign_in_every_s: float = _SIGN_IN_EVERY_S) -> None:
        plain, self._sign_in = split_url(url)
        self._sign_in_every_s = sign_in_every_s
        parts = urlsplit(plain)
        if parts.scheme not in {"redis", "rediss", "unix"}:
            msg = "REDIS_URL must begin with redis://, rediss:// or unix://"
            raise ConfigurationError(msg)
        self._parts = parts
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None
        self._signing_in: asyncio.Task[None] | None = None
        self._resting_until_s = 0.0

    async def execute(self, *command: str | bytes | float) -> Any:  # noqa: ANN401 - any answer
        """Return the answer to one command: bytes, int, list, or None.

        Raises:
            CacheUnavailable: No connection, no answer in time, or an error as the answer.
        """
        connection = self._connection
        if connection is None or connection.broken:
            connection = await self._connect()
        return _checked(await connection.send(command))

    async def get(self, key: str) -> bytes | None:
        """Return a key's text; None where there is none, or something else.

        What many ask for at a time is one command, and a key that many ask for is in it once.

        Raises:
            CacheUnavailable: No connection, or no answer in time.
        """
        connection = self._connection
        if connection is None or connection.broken:
            connection = await self._connect()
        return connection.known.get(key) or await connection.get(key)

    async def get_sliding(self, key: str, ttl_s: int) -> bytes | None:
        """Return a key's text, and let it live for ``ttl_s`` from now on, two seconds less at most.

        Raises:
            CacheUnavailable: No connection, no answer in time, or something else there.
        """
        connection = self._connection
        if connection is None or connection.broken:
            connection = await self._connect()
        known = connection.known.get(key)
        if known is not None:
            return known
        command = ("EVAL", _GET_SLIDING, 1, key, ttl_s, _SLIDE_MS)
        value: bytes | None = _checked(await connection.send(command, (key,)))
        return value

    def known(self, key: str, *, renew: bool = True) -> bytes | None:
        """Return a key's text where it is at hand.

        Args:
            key: Of the value.
            renew: Whether to read it again in time for others to find it at hand, too.
        """
        connection = self._connection
        if connection is None:
            return None
        if renew and connection.known.wants_reading(key):
            connection.renew(key)
        return connection.known.get(key)

    async def close(self) -> None:
        """Close the connection."""
        for task in (self._connecting, self._signing_in):
            if task is not None:
                task.cancel()
        if self._connection is not None:
            self._connection.fail("closed")

    async def _connect(self) -> "_Connection":
        if self._connecting is None:
            if time.monotonic() < self._resting_until_s:
                msg = "not reachable a moment ago"
                raise CacheUnavailable(msg)
            self._connecting = asyncio.create_task(self._open())
        try:
            # Shielded: one request that is given up must not end the attempt of all others.
            return await asyncio.shield(self._connecting)
        except (OSError, TimeoutError, ValueError, PlumblineError) as error:
            self._rest()
            raise CacheUnavailable(str(error) or type(error).__name__) from error

    async def _open(self) -> "_Connection":
        try:
            greeting = await self._greeting()
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                self._connection = await self._dial(greeting)
                return self._connection
        finally:
            self._connecting = None

    async def _dial(self, greeting: list[tuple[str, ...]]) -> "_Connection":
        loop, parts = asyncio.get_running_loop(), self._parts
        connection: _Connection
        if parts.scheme == "unix":
            _, connection = await loop.create_unix_connection(_Connection, unquote(parts.path))
        else:
            _, connection = await loop.create_connection(
                _Connection,
                parts.hostname or "127.0.0.1",
                parts.port or _DEFAULT_PORT,
                ssl=ssl.create_default_context() if parts.scheme == "rediss" else None,
            )
        connection.when_late = self._rest
        for command in greeting:
            answer = await connection.send(command)
            if isinstance(answer, hiredis.ReplyError):
                connection.fail(str(answer))
                raise ConnectionError(str(answer))
        if self._sign_in is not None:
            if self._signing_in is not None:
                self._signing_in.cancel()
            self._signing_in = asyncio.create_task(self._keep_signed_in(connection, self._sign_in))
        for command in _TRACKING:
            if isinstance(await connection.send(command), hiredis.ReplyError):
                return connection  # not allowed here: then nothing stays at hand
        connection.tracks = True
        return connection

    async def _keep_signed_in(self, connection: "_Connection", sign_in: SignIn) -> None:
        """Sign in again on the same connection, until it ends."""
        while True:
            await asyncio.sleep(self._sign_in_every_s)
            if connection.broken:
                return
            with contextlib.suppress(PlumblineError):  # the old one is good for another hour
                await connection.send(("AUTH", *await asyncio.to_thread(sign_in)))

    async def _greeting(self) -> list[tuple[str, ...]]:
        username, password = self._parts.username, self._parts.password
        commands: list[tuple[str, ...]] = []
        if self._sign_in is not None:
            commands.append(("AUTH", *await asyncio.to_thread(self._sign_in)))
        elif password:
            commands.append(("AUTH", unquote(username or "default"), unquote(password)))
        number = self._parts.path.strip("/")
        if self._parts.scheme != "unix" and number not in {"", "0"}:
            commands.append(("SELECT", number))
        return commands

    def _rest(self) -> None:
        self._resting_until_s = time.monotonic() + _REST_S


class _Connection(asyncio.Protocol):
    """Hands out the answers in the order of the commands."""

    def __init__(self) -> None:
        self.broken = False
        self.tracks = False
        self.known = KnownValues()
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        # Each with the keys that it is the values of.
        self._waiting: deque[tuple[asyncio.Future[Any], Collection[str]]] = deque()
        self._unsent: list[bytes] = []
        self._gets: dict[str, list[asyncio.Future[bytes | None]]] = {}
        self._transport: asyncio.Transport | None = None
        self._asking = False
        self._oldest: asyncio.Future[Any] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._ageing: asyncio.TimerHandle | None = None
        self.when_late: Callable[[], None] = lambda: None

    def send(self, command: tuple[Any, ...], keys: Collection[str] = ()) -> asyncio.Future[Any]:
        """Send with all others of this turn of the loop; the future gets the answer.

        Args:
            command: And its arguments.
            keys: That the answer, or each part of it, is the value of.
        """
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self.broken:
            answer.set_exception(CacheUnavailable("the connection broke"))
            return answer
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(hiredis.pack_command(command))
        self._waiting.append((answer, keys))
        if self._watch is None:
            self._watch = self._loop.call_later(_ANSWER_TIMEOUT_S, self._look)
        return answer

    def get(self, key: str) -> asyncio.Future[bytes | None]:
        """Ask for a key with all others that come until it can be sent.

        One such command is under way at a time. Without load that is at once; under load, what
        comes meanwhile goes together, and the more comes the less a key costs.
        """
        answer: asyncio.Future[bytes | None] = self._loop.create_future()
        if self.broken:
            answer.set_exception(CacheUnavailable("the connection broke"))
            return answer
        if not self._gets and not self._asking:
            self._loop.call_soon(self._send_gets)
        waiting = self._gets.get(key)
        if waiting is None:
            self._gets[key] = [answer]
        else:
            waiting.append(answer)
        return answer

    def renew(self, key: str) -> None:
        """Read a key for whoever asks next."""
        # Nobody waits for it: why it failed, the next one will hear.
        self.get(key).add_done_callback(lambda answer: answer.cancelled() or answer.exception())

    def fail(self, why: str) -> None:
        """End the connection and everybody's waiting."""
        self.broken = True
        self.known.clear()
        for timer in (self._watch, self._ageing):
            if timer is not None:
                timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            answer, _ = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(CacheUnavailable(why))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand out what is complete."""
        self._reader.feed(data)
        try:
            while (value := self._reader.gets()) is not _INCOMPLETE:
                if isinstance(value, hiredis.PushNotification):
                    self._changed(value)
                elif self._waiting:
                    answer, keys = self._waiting.popleft()
                    # Now, not when who waits comes to it: the next may say that it has changed.
                    if keys and self.tracks:
                        self._keep(keys, value)
                    if not answer.done():  # given up meanwhile
                        answer.set_result(value)
        except hiredis.ProtocolError as error:
            self.fail(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what still waits."""
        self.fail(str(exc) if exc else "the server closed the connection")

    def _keep(self, keys: Collection[str], values: object) -> None:
        if self._ageing is None:
            self._ageing = self._loop.call_later(AGE_EVERY_S, self._age)
        for key, value in zip(keys, values if isinstance(values, list) else [values], strict=False):
            if isinstance(value, bytes):
                self.known.keep(key, value)

    def _changed(self, message: Sequence[Any]) -> None:
        kind, keys = message
        if kind != b"invalidate":
            return
        if keys is None:  # all of them
            self.known.clear()
            return
        changed = [key.decode() for key in keys]
        again = [key for key in changed if self.known.forget(key)]
        for key in again:
            self.renew(key)
        if again and not self._asking:
            self._send_gets()  # at once: until the answer comes, nobody finds it at hand

    def _age(self) -> None:
        left = self.known.age()
        self._ageing = self._loop.call_later(AGE_EVERY_S, self._age) if left else None

    def _send_gets(self) -> None:
        if not self._gets:
            return
        gets, self._gets = self._gets, {}
        self._asking = True
        values = self.send(("MGET", *gets), gets.keys())
        self._flush()

        def hand_out(values: asyncio.Future[Any]) -> None:
            self._asking = False
            self._send_gets()
            error = values.exception()
            found = None if error else values.result()
            if not isinstance(found, list):
                error = error or CacheUnavailable(str(found))
                found = [None] * len(gets)
            for answers, value in zip(gets.values(), found, strict=True):
                for answer in answers:
                    if answer.done():  # given up meanwhile
                        continue
                    if error is None:
                        answer.set_result(value)
                    else:
                        answer.set_exception(error)

        values.add_done_callback(hand_out)

    def _look(self) -> None:
        """Give up where what waited longest at the last look still does.

        One timer for all: one for each command costs more than the command. An answer is given up
        after one to two times the timeout. The answers are handed out by their order, so a late one
        must reach nobody else: the connection ends.
        """
        self._watch = None
        oldest = self._waiting[0][0] if self._waiting else None
        if oldest is None:
            self._oldest = None
        elif oldest is self._oldest:
            self.when_late()
            self.fail("no answer in time")
        else:
            self._oldest = oldest
            self._watch = self._loop.call_later(_ANSWER_TIMEOUT_S, self._look)

    def _flush(self) -> None:
        if self._unsent and self._transport is not None and not self.broken:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()


def _checked(answer: Any) -> Any:  # noqa: ANN401 - any answer
    if isinstance(answer, hiredis.ReplyError):
        raise CacheUnavailable(str(answer))
    return answer
