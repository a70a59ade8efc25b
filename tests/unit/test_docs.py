"""The documentation says what the code does, and its links lead somewhere."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from plumbline.cli.main import cli
from plumbline.domain.reason import Reason
from plumbline.settings import describe

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "terraform").rglob("README.md")]
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def commands(group: click.Group, path: str = "plumbline") -> Iterator[tuple[str, click.Command]]:
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                yield from commands(command, f"{path} {name}")
            else:
                yield f"{path} {name}", command


def test_every_setting_is_in_the_reference_with_its_default_and_meaning() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    documented = [line for line in page.splitlines() if line.startswith("| ") and "`" in line]
    expected = [
        f"| {entry_point} | `{setting}` | {default} | {meaning} |"
        for entry_point, setting, default, meaning in describe()
    ]
    assert documented == expected


@pytest.mark.parametrize(("path", "command"), list(commands(cli)))
def test_every_command_and_option_is_in_the_reference(path: str, command: click.Command) -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    heading = f"### `{path}`"
    assert heading in page, f"no section {heading}"
    section = page.split(heading, 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            long = max(parameter.opts, key=len)
            if long not in {"--data-dir", "--json", "--help"}:  # described once, for all
                assert f"`{long}" in section, f"{path}: {long} is not described"


def test_the_reference_names_no_command_that_does_not_exist() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text("utf-8")
    documented = set(re.findall(r"^### `(plumbline [^`]+)`$", page, re.MULTILINE))
    assert documented == {path for path, _ in commands(cli)}


def test_every_reason_code_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "mqtt.md").read_text("utf-8")
    documented = re.findall(r"^\| `([a-z0-9_]+)` \| ", page, re.MULTILINE)
    codes = [reason.value for reason in Reason]
    assert [code for code in documented if code in codes] == codes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text("utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            name, _, anchor = target.partition("#")
            path = page.parent / name if name else page
            assert path.exists(), f"{target} does not exist"
            if anchor and path.suffix == ".md":
                assert anchor in anchors(path), f"{target}: there is no such heading"


def anchors(page: Path) -> set[str]:
    """Return what its headings are linked by, as GitHub makes it."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_test_that_the_documentation_names_exists() -> None:
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE))
    named = {
        name for page in PAGES for name in re.findall(r"`(test_\w+)`", page.read_text("utf-8"))
    }
    assert len(named) > 30
    assert named <= defined, sorted(named - defined)


def test_every_block_of_toml_is_toml() -> None:
    """ChirpStack and package managers refuse the whole file for one wrong line."""
    blocks = [
        block
        for page in PAGES
        for block in re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    ]
    assert len(blocks) >= 2
    for block in blocks:
        assert tomllib.loads(block)
