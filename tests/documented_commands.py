"""The commands that a page of the documentation shows, taken apart as a shell would."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DEPLOY = ROOT / "docs" / "how-to" / "deploy.md"
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))

_BLOCK = re.compile(r"^( *)```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_REMARK = re.compile(r"\s+# .*$")
_SEPARATORS = {";", "|", "||", "&&", "&"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_KEYWORDS = {"do", "then", "export"}
_IGNORED = {"for", "done", "read"}


def lines(page: Path) -> Iterator[str]:
    """Yield what stands behind each prompt, continued lines joined."""
    for _, block in _BLOCK.findall(page.read_text("utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip().startswith("$ "):
                yield _REMARK.sub("", line.strip().removeprefix("$ "))


def commands(text: str) -> Iterator[list[str]]:
    """Yield every simple command of a line, those within `$(…)` too, as words."""
    while "$(" in text:
        begin = text.rindex("$(")  # the innermost comes first
        end = text.index(")", begin)
        while text.count("(", begin, end + 1) != text.count(")", begin, end + 1):
            end = text.index(")", end + 1)
        yield from commands(text[begin + 2 : end])
        text = f"{text[:begin]}SUBSTITUTED{text[end + 1 :]}"
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in _SEPARATORS:
            command = _simple(words)
            if command:
                yield command
            words = []
        else:
            words.append(word)


def _simple(words: list[str]) -> list[str]:
    """Return a command without redirections, assignments and the shell's own words."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif set(word) <= set("<>&"):
            skip = True
            if kept and kept[-1] == "2":
                kept.pop()
        else:
            kept.append(word)
    while kept and (kept[0] in _KEYWORDS or _ASSIGNMENT.match(kept[0])):
        kept.pop(0)
    return [] if kept and kept[0] in _IGNORED else kept
