"""Each module says what it is for, takes and gives, as it is now."""

import re
from pathlib import Path
from runpy import run_path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = run_path(str(ROOT / "scripts" / "document_terraform.py"))
DIRECTORIES: list[Path] = SCRIPT["directories"]()


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda directory: str(directory.name))
def test_the_readme_has_the_inputs_and_outputs_of_the_configuration(directory: Path) -> None:
    """If not: ``python scripts/document_terraform.py``."""
    assert (directory / "README.md").read_text("utf-8") == SCRIPT["rendered"](directory)


@pytest.mark.parametrize("directory", DIRECTORIES[1:], ids=lambda directory: str(directory.name))
def test_every_module_has_the_same_files(directory: Path) -> None:
    """`main.tf` apart, in whose place there may be one file a topic."""
    for name in ("variables.tf", "outputs.tf", "versions.tf", "README.md"):
        assert (directory / name).exists(), name


def test_every_variable_and_output_is_in_a_table() -> None:
    for directory in DIRECTORIES:
        text = "\n".join(path.read_text("utf-8") for path in directory.glob("*.tf"))
        declared = re.findall(r'^(?:variable|output) "', text, re.MULTILINE)
        assert SCRIPT["tables"](directory).count("\n| `") == len(declared), directory.name
