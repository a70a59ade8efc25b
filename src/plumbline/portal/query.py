"""The parameters of a request, read strictly: what is wrong is said, never guessed."""

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn
from urllib.parse import parse_qsl

from starlette.requests import Request

from plumbline.domain.reading import is_device_id
from plumbline.portal.problems import Kind, Problem

_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_MAX_PARAMETERS = 20


class Query:
    """The query of a request.

    Args:
        request: Of a route.
        known: Names that the route has.

    Raises:
        Problem: An unknown name, a name twice, text that is not UTF-8 or that holds NUL.
    """

    def __init__(self, request: Request, known: Collection[str]) -> None:
        self._values: dict[str, str] = {}
        if not request.scope["query_string"]:
            return
        try:
            pairs = parse_qsl(
                request.scope["query_string"].decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_PARAMETERS,
            )
        except ValueError:  # also of the decoding
            refuse("the query is not percent-encoded UTF-8, or too long")
        for name, value in pairs:
            if name not in known:
                refuse(f"{_shown(name)}: unknown parameter; known: {', '.join(known) or '-'}")
            if name in self._values:
                refuse(f"{name}: given twice")
            if "\0" in value:
                refuse(f"{name}: holds NUL")
            self._values[name] = value

    def text(self, name: str, max_length: int) -> str | None:
        """Return the text, or None where it is absent."""
        value = self._values.get(name)
        if value is not None and len(value) > max_length:
            refuse(f"{name}: at most {max_length} characters")
        return value

    def choice(self, name: str, words: Collection[str]) -> str | None:
        """Return one of the words, or None where it is absent."""
        value = self._values.get(name)
        if value is not None and value not in words:
            refuse(f"{name}: one of {', '.join(words)}")
        return value

    def integer(self, name: str, minimum: int, maximum: int, default: int) -> int:
        """Return an integer between the bounds, both included."""
        value = self._values.get(name)
        if value is None:
            return default
        if not _INTEGER.fullmatch(value) or not minimum <= int(value) <= maximum:
            refuse(f"{name}: an integer, {minimum} to {maximum}")
        return int(value)

    def moment(self, name: str, default: datetime) -> datetime:
        """Return an aware UTC time, whole microseconds."""
        value = self._values.get(name)
        if value is None:
            return default
        moment = None
        if _MOMENT.fullmatch(value):
            with suppress(ValueError, OverflowError):
                moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
        if moment is None:
            hint = " (write + as %2B)" if " " in value else ""
            refuse(f"{name}: RFC 3339 with offset, such as 2026-01-31T12:00:00Z{hint}")
        return moment

    def cursor(self, cursors: "Cursors") -> str | None:
        """Return what a cursor of that list holds, or None where it is absent."""
        value = self._values.get("cursor")
        if value is not None and not re.fullmatch(cursors.pattern, value, re.ASCII):
            refuse("cursor: not one that this list gave")
        return None if value is None else value[2:]


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursors of one list: a letter, a dot, and where the page before ended.

    Attributes:
        letter: Of this list alone, so that no list takes another's.
        content: Pattern of the end of a page.
        example: Such a content.
    """

    letter: str
    content: str
    example: str

    @property
    def pattern(self) -> str:
        """What every cursor of the list matches, and nothing else does."""
        return rf"^{self.letter}\.{self.content}$"

    def make(self, content: str | int) -> str:
        """Return the cursor of a page that ended there."""
        return f"{self.letter}.{content}"


NUMBER = "(0|[1-9][0-9]{0,17})"


def refuse(detail: str) -> NoReturn:
    """End the request because of a wrong parameter or body.

    Raises:
        Problem: Always.
    """
    raise Problem(Kind.INVALID, detail)


def device_id(request: Request) -> str:
    """Return the device id of the path.

    Raises:
        Problem: Not a device id; so there is no such device.
    """
    text: str = request.path_params["device_id"]
    if not is_device_id(text):
        raise Problem(Kind.NOT_FOUND, "no such device")
    return text


def _shown(name: str) -> str:
    """Return a name that a caller made up, safe to show."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in name[:40])
