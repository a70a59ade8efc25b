"""Durations of the command line: `500ms`, `5s`, `5m`, `24h`, `90d`."""

import re
from typing import Any

import click

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)


class Duration(click.ParamType[float]):
    """Converts a duration to seconds; ``minimum_s`` is the shortest allowed."""

    name = "duration"

    def __init__(self, minimum_s: float = 0.0) -> None:
        self._minimum_s = minimum_s

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration such as 500ms, 5s, 5m or 24h", param, ctx)
        seconds = float(match[1]) * _UNITS_S[match[2]]
        if seconds < self._minimum_s:
            self.fail(f"{value} is shorter than {self._minimum_s:g}s", param, ctx)
        return seconds
