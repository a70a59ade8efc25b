"""Writes the inputs and outputs into the READMEs of terraform/; a test holds them against it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1] / "terraform"
BEGIN = "<!-- Below: scripts/document_terraform.py -->\n"

_BLOCK = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
# `terraform fmt` indents by two; what an attribute spans further is indented more, or closes it.
_ATTRIBUTE = re.compile(r"^  (\w+) += (.*(?:\n(?:   .*|  [)}\]]+.*|$))*)", re.MULTILINE)
_COMMENT = re.compile(r" *#.*$", re.MULTILINE)


def directories() -> list[Path]:
    """Return the root and all modules."""
    return [ROOT, *sorted(path for path in (ROOT / "modules").iterdir() if path.is_dir())]


def tables(directory: Path) -> str:
    """Return the tables of a module's inputs and outputs."""
    found = list(_blocks(directory))
    inputs = [(name, of) for kind, name, of in found if kind == "variable"]
    outputs = [(name, of) for kind, name, of in found if kind == "output"]
    lines = ["## Inputs", "", "| name | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, of in sorted(inputs, key=lambda one: ("default" in one[1], one[0])):
        default = f"`{_line(of['default'])}`" if "default" in of else "required"
        lines.append(f"| `{name}` | `{_line(of['type'])}` | {default} | {_text(of)} |")
    lines += ["", "## Outputs", "", "| name | meaning |", "| --- | --- |"]
    lines += [f"| `{name}` | {_text(of)} |" for name, of in sorted(outputs)]
    return "\n".join(lines) + "\n"


def rendered(directory: Path) -> str:
    """Return the module's README with its tables as the configuration has them now."""
    written, mark, _ = (directory / "README.md").read_text("utf-8").partition(BEGIN)
    if not mark:
        msg = f"{directory / 'README.md'} has no line {BEGIN!r}"
        raise SystemExit(msg)
    return f"{written}{BEGIN}\n{tables(directory)}"


def _blocks(directory: Path) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    for path in sorted(directory.glob("*.tf")):
        for kind, name, body in _BLOCK.findall(path.read_text("utf-8")):
            yield kind, name, dict(_ATTRIBUTE.findall(body))


def _line(expression: str) -> str:
    """Return an expression in one line, as Markdown may have it in a table."""
    text = " ".join(_COMMENT.sub("", expression).split())
    pairs = re.sub(r"(?<=[\w)\]}\"]) (?=\w+ = )", ", ", text)
    return pairs.replace("|", "\\|")


def _text(of: Mapping[str, str]) -> str:
    text = of["description"].strip().strip('"').rstrip(".")
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    """Write all of them."""
    for directory in directories():
        (directory / "README.md").write_text(rendered(directory), "utf-8")


if __name__ == "__main__":
    main()
