"""Data on stdout, messages on stderr."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click

from plumbline.domain.reading import format_time


def print_json(data: Any) -> None:  # noqa: ANN401 - any JSON
    """Print JSON, times as RFC 3339."""
    click.echo(json.dumps(data, indent=2, default=_default))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print left-aligned columns; an empty table prints its headings alone."""
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *texts, strict=True)]
    for row in (list(headings), *texts):
        click.echo("  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip())


def message(text: str) -> None:
    """Print one line for people, on stderr."""
    click.echo(text, err=True)


def age(seconds: float | None) -> str:
    """Return a short age such as ``4 s`` or ``3 h``; ``-`` for None."""
    if seconds is None:
        return "-"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _cell(value: Any) -> str:  # noqa: ANN401 - any value
    if value is None:
        return "-"
    return format_time(value) if isinstance(value, datetime) else str(value)


def _default(value: Any) -> Any:  # noqa: ANN401 - json's hook
    return format_time(value) if isinstance(value, datetime) else str(value)
