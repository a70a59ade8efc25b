"""SQL statements by name, from the ``.sql`` files beside the adapters."""

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def load(file: str) -> dict[str, LiteralString]:
    """Return the statements of ``sql/<file>``; each begins with a line ``-- name: NAME``."""
    text = (files("plumbline.adapters.postgres") / "sql" / file).read_text("utf-8")
    parts = _NAME.split(text)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {name: cast("LiteralString", sql.strip()) for name, sql in pairs}
