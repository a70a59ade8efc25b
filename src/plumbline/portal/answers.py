"""How an answer leaves: JSON, its ETag, 304, compression, links."""

import gzip
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from plumbline.domain.reading import format_time

# Whoever asks may not see what another has asked; and nothing is fresh without asking again.
REVALIDATE = "private, no-cache"
NEVER_KEEP = "no-store"
VARY = "Accept-Encoding, Authorization, Cookie"

_GZIP_FROM_BYTES = 1024
_GZIP_LEVEL = 4
_NOT_AT_ALL = re.compile(r"q=0(\.0{0,3})?")


def _encode_hook(value: object) -> object:
    msg = f"no JSON for {type(value)}"
    raise NotImplementedError(msg)


_encode = msgspec.json.Encoder(enc_hook=_encode_hook).encode


def json_answer(
    request: Request,
    value: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    cache_control: str = REVALIDATE,
) -> Response:
    """Answer with JSON, or with 304 where the caller has it already."""
    body = value if isinstance(value, bytes) else _encode(value)
    return body_answer(
        request,
        body,
        "application/json",
        status=status,
        headers=headers,
        cache_control=cache_control,
    )


def body_answer(  # noqa: PLR0913 - each is one property of an answer, given by keyword
    request: Request,
    body: bytes,
    media_type: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    cache_control: str = REVALIDATE,
    tagged: bytes | None = None,
) -> Response:
    """Answer with a body, compressed where the caller takes it.

    Args:
        request: Whose If-None-Match counts for status 200.
        body: The whole of it.
        media_type: Of the body.
        status, headers, cache_control: Of the answer.
        tagged: What the ETag is made of, where a part of the body tells only of the moment; then
            also an answer that nobody may keep has one.
    """
    tag = tag_of(body if tagged is None else tagged)
    common = {"Cache-Control": cache_control, "Vary": VARY}
    common |= headers or {}
    if cache_control != NEVER_KEEP or tagged is not None:
        common["ETag"] = tag
        if status == 200 and matches(request.headers.get("if-none-match"), tag):  # noqa: PLR2004
            return Response(None, 304, common)
    if len(body) >= _GZIP_FROM_BYTES and takes_gzip(request):
        body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        common["Content-Encoding"] = "gzip"
    return Response(body, status, common, media_type)


def tag_of(value: bytes) -> str:
    """Return an ETag; weak, for the same value compressed and not has the same."""
    return f'W/"{blake2b(value, digest_size=12).hexdigest()}"'


def matches(if_none_match: str | None, tag: str) -> bool:
    """Tell whether the header names the tag, compared weakly (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    wanted = tag.removeprefix("W/")
    return any(one.strip().removeprefix("W/") == wanted for one in if_none_match.split(","))


def takes_gzip(request: Request) -> bool:
    """Tell whether the caller accepts gzip."""
    takes: dict[str, bool] = {}
    for one in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, parameters = one.partition(";")
        takes[coding.strip()] = not _NOT_AT_ALL.fullmatch(parameters.replace(" ", ""))
    return takes.get("gzip", takes.get("*", False))


def page_answer(
    request: Request, items: list[dict[str, object]], next_cursor: str | None
) -> Response:
    """Answer with one page of a list."""
    headers = {}
    if next_cursor is not None:
        query = [(name, value) for name, value in _query(request) if name != "cursor"]
        target = f"{request.scope['path']}?{urlencode([*query, ('cursor', next_cursor)])}"
        headers["Link"] = f'<{target}>; rel="next"'
    return json_answer(request, {"items": items, "next_cursor": next_cursor}, headers=headers)


def time_or_none(moment: datetime | None) -> str | None:
    """Return the moment as RFC 3339 in UTC, or None."""
    return None if moment is None else format_time(moment)


def _query(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
