"""Writes what `./bench limits` reckons into docs/explanation/limits.md, between its marks."""

import re
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT))

from benchmarks.limits import tables  # noqa: E402 - found from the root alone

_PAGE = _ROOT / "docs" / "explanation" / "limits.md"


def main() -> None:
    """Replace every part of the page that is reckoned."""
    page = _PAGE.read_text("utf-8")
    for name, text in tables().items():
        pattern = re.compile(rf"(<!-- {name} -->\n?).*?(\n?<!-- /{name} -->)", re.DOTALL)
        marks = pattern.search(page)
        if marks is None:
            sys.exit(f"{_PAGE}: no marks <!-- {name} -->")
        page = page[: marks.end(1)] + text + page[marks.start(2) :]
    _PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
