"""The readings of one device as a file."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import UTC
from functools import partial
from zoneinfo import ZoneInfo, available_timezones

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from plumbline.adapters.postgres.export_process import stream_by_process
from plumbline.adapters.postgres.exports import Selection
from plumbline.portal.answers import NEVER_KEEP, takes_gzip
from plumbline.portal.query import Query, device_id, refuse
from plumbline.portal.readings import EARLIEST, LATEST, require_known, span
from plumbline.portal.services import services

CSV_TYPE = "text/csv; charset=utf-8; header=present"
PARQUET_TYPE = "application/vnd.apache.parquet"

MAX_ZONE = 60
# The others of the list are names for "this machine's" zone, or of no place.
_ZONES = {"UTC", *(name for name in available_timezones() if "/" in name)}


_GZIP_WBITS = 31

_Stream = Callable[[str, Selection], Generator[bytes, None, None]]


async def export_csv(request: Request) -> Response:
    """Stream readings as CSV."""
    return await _export(request, partial(stream_by_process, "csv"), "csv", CSV_TYPE)


async def export_parquet(request: Request) -> Response:
    """Stream readings as Parquet."""
    return await _export(request, partial(stream_by_process, "parquet"), "parquet", PARQUET_TYPE)


async def _export(request: Request, stream: _Stream, suffix: str, media_type: str) -> Response:
    query = Query(request, ("from", "to", "tz"))
    wanted = device_id(request)
    first, last = span(query, EARLIEST, LATEST)
    zone = query.text("tz", MAX_ZONE) or "UTC"
    if zone not in _ZONES:
        refuse("tz: an IANA time zone, such as UTC or Europe/Berlin")
    await require_known(request, wanted)
    headers = {
        "Cache-Control": NEVER_KEEP,
        "Content-Disposition": f'attachment; filename="readings-{wanted}.{suffix}"',
    }
    packed = suffix == "csv" and takes_gzip(request)
    if suffix == "csv":
        headers["Vary"] = "Accept-Encoding"
    if packed:
        headers["Content-Encoding"] = "gzip"
    if request.method == "HEAD":
        return StreamingResponse((), headers=headers, media_type=media_type)
    selection = Selection(wanted, first.astimezone(UTC), last.astimezone(UTC), ZoneInfo(zone).key)
    url = services(request).settings.database_url.reveal()
    chunks = _in_thread(lambda: stream(url, selection), services(request).exports)
    # The first one before the head: where the database cannot serve, that is an error, not a file.
    body = _prepend(await anext(chunks), chunks)
    return _Export(chunks, _compressed(body) if packed else body, headers, media_type)


class _Export(StreamingResponse):
    """Gives everything back at its end, however it ends."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        body: AsyncIterator[bytes],
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        super().__init__(body, headers=headers, media_type=media_type)
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._chunks):
            await super().__call__(scope, receive, send)


async def _in_thread(
    start: Callable[[], Generator[bytes, None, None]], limit: asyncio.Semaphore
) -> AsyncGenerator[bytes, None]:
    """Run a blocking iterator in a thread of its own; close it also when the reader has gone.

    Nobody waits for the end of a step that the database draws out; its place among the exports is
    free when it has ended.
    """
    await limit.acquire()
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, "export")
    iterator = start()
    try:
        while (chunk := await loop.run_in_executor(thread, next, iterator, None)) is not None:
            yield chunk
    finally:
        closing = loop.run_in_executor(thread, iterator.close)
        closing.add_done_callback(partial(_give_back, limit))
        thread.shutdown(wait=False)


def _give_back(limit: asyncio.Semaphore, closing: asyncio.Future[None]) -> None:
    limit.release()
    if not closing.cancelled():
        closing.exception()  # of a connection that has gone anyway


async def _prepend(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


async def _compressed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    compressor = zlib.compressobj(1, wbits=_GZIP_WBITS)
    async for chunk in chunks:
        if packed := await run_in_threadpool(compressor.compress, chunk):
            yield packed
    yield compressor.flush()
