"""JSON from outside: what Python's decoder accepts beyond the standard is refused.

Python's own decoder is used because it reports what faster ones hide: duplicate keys, and through
hooks also numbers that are not finite.
"""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, NoReturn

from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

_is_rfc3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
).fullmatch


# Far from the depth at which Python's decoder gives up, which depends on who calls it.
_MAX_DEPTH = 200

# A string, also one without an end; or a bracket.
_tokens = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL).finditer


class AmbiguousObject(dict[str, Any]):
    """An object in which a key stands twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else AmbiguousObject(members)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        msg = "a number beyond the range of a double"
        raise ValueError(msg)
    return value


def _no_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_finite, parse_constant=_no_constant
)


def _require_shallow(text: str) -> None:
    """Refuse nesting before the decoder sees it, so that the reason is always the same."""
    if text.count("[") + text.count("{") <= _MAX_DEPTH:
        return
    depth = 0
    for token in _tokens(text):
        bracket = token[0]
        depth += (bracket in "[{") - (bracket in "]}")
        if depth > _MAX_DEPTH:
            raise InvalidPayload(Reason.NESTED_TOO_DEEPLY, f"limit {_MAX_DEPTH}")


def parse(payload: bytes, limit_bytes: int | None) -> Any:  # noqa: ANN401 - any JSON
    """Parse a document; its objects with a key twice are `AmbiguousObject`.

    Args:
        payload: UTF-8.
        limit_bytes: None for any size.

    Raises:
        InvalidPayload: Empty, too large, not UTF-8, not strict JSON, nested more than 200 deep.
    """
    if not payload:
        raise InvalidPayload(Reason.EMPTY_PAYLOAD)
    if limit_bytes is not None and len(payload) > limit_bytes:
        detail = f"{len(payload)} bytes, limit {limit_bytes}"
        raise InvalidPayload(Reason.PAYLOAD_TOO_LARGE, detail)
    try:
        text = payload.decode()
        _require_shallow(text)
        return _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise InvalidPayload(Reason.NOT_UTF8, f"byte {error.start}") from error
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at character {error.pos}"
        raise InvalidPayload(Reason.INVALID_JSON, detail) from error
    except ValueError as error:  # from the hooks, and integers of too many digits
        raise InvalidPayload(Reason.INVALID_JSON, str(error).partition(";")[0]) from error


def is_storable_text(text: str) -> bool:
    """Tell whether PostgreSQL can hold the text: it has neither NUL nor a lone surrogate."""
    return "\0" not in text and (
        text.isascii() or all(not "\ud800" <= char <= "\udfff" for char in text)
    )


def parse_time(text: str) -> datetime | None:
    """Return the moment that an RFC 3339 text with an offset names, in UTC; None for other texts.

    Digits beyond microseconds are cut, never rounded: PostgreSQL would round them.

    Raises:
        ValueError, OverflowError: There is no such moment.
    """
    if _is_rfc3339(text) is None:
        return None
    moment = datetime.fromisoformat(text.upper())
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
