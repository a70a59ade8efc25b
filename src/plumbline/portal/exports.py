"""The readings of one device as a file."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC
from functools import partial
from zoneinfo import ZoneInfo, available_timezones

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

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

_Stream = Callable[[str, Selection], Iterator[bytes]]


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
    selection = Selection(wanted, first.astimezone(UTC), last.astimezone(UTC), ZoneInfo(zone).key)
    url = services(request).settings.database_url.reveal()
    chunks = _in_threads(lambda: stream(url, selection), services(request).exports)
    # The first one before the head: where the database cannot serve, that is an error, not a file.
    beginning = await anext(chunks)
    body = _prepend(beginning, chunks)
    headers = {
        "Cache-Control": NEVER_KEEP,
        "Content-Disposition": f'attachment; filename="{wanted}.{suffix}"',
    }
    if suffix == "csv":
        headers["Vary"] = "Accept-Encoding"
        if takes_gzip(request):
            headers["Content-Encoding"] = "gzip"
            body = _compressed(body)
    return StreamingResponse(body, headers=headers, media_type=media_type)


async def _in_threads(
    start: Callable[[], Iterator[bytes]], limit: asyncio.Semaphore
) -> AsyncIterator[bytes]:
    """Run a blocking iterator, one step a thread; close it also when the reader has gone."""
    async with limit:
        iterator = start()
        try:
            while (chunk := await run_in_threadpool(next, iterator, None)) is not None:
                yield chunk
        finally:
            await asyncio.shield(run_in_threadpool(iterator.close))  # type: ignore[attr-defined] # a generator


async def _prepend(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for chunk in rest:
            yield chunk
    finally:
        await rest.aclose()  # type: ignore[attr-defined] # a generator


async def _compressed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    compressor = zlib.compressobj(1, wbits=_GZIP_WBITS)
    try:
        async for chunk in chunks:
            if packed := await run_in_threadpool(compressor.compress, chunk):
                yield packed
        yield compressor.flush()
    finally:
        await chunks.aclose()  # type: ignore[attr-defined] # a generator
