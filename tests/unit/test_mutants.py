"""What `./prove mutation` changes, and that a change reaches everybody who has imported it."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from proofs.mutation.mutants import mutants_of
from proofs.mutation.plant import plant

SOURCE = '''"""A module."""
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

LIMIT = 10
WORD = re.compile(r"[a-z]+")

@dataclass(frozen=True, slots=True)
class Box:
    """A box."""

    size: int = 3

    @property
    def double(self) -> int | None:
        return self.size * 2


class Colour(StrEnum):
    RED = "red"


@lru_cache
def fits(size: int) -> bool:
    if size > LIMIT and not WORD:
        msg = f"{size} is too large"
        raise ValueError(msg)
    return size < LIMIT
'''
IMPORTER = "from mutated import LIMIT, Box, fits\n"


@pytest.fixture
def mutated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "mutated.py").write_text(SOURCE)
    (tmp_path / "importer.py").write_text(IMPORTER)
    monkeypatch.syspath_prepend(tmp_path)
    import_module("mutated")
    yield import_module("importer")
    for name in ("mutated", "importer"):
        del sys.modules[name]


def test_every_place_that_does_something_is_changed_and_what_people_read_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mutated.py"
    path.write_text(SOURCE)
    assert [(mutant.line, mutant.old, mutant.new) for mutant in mutants_of(path)] == [
        (7, "10", "11"),
        (8, 'r"[a-z]+"', "'[a-z]+X'"),
        (14, "3", "4"),
        (18, "return self.size * 2", "return None"),
        (18, "self.size * 2", "(self.size // 2)"),
        (18, "2", "3"),
        (27, "size > LIMIT and not WORD", "(not (size > LIMIT and (not WORD)))"),
        (27, "size > LIMIT and not WORD", "(size > LIMIT or not WORD)"),
        (27, "size > LIMIT", "size >= LIMIT"),
        (27, "not WORD", "(WORD)"),
        (29, "raise ValueError(msg)", "pass"),
        (30, "return size < LIMIT", "return None"),
        (30, "size < LIMIT", "size <= LIMIT"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ("LIMIT = 10", "LIMIT = 4", (4, 3, 6, False)),
        ("size: int = 3", "size: int = 4", (10, 4, 8, True)),
        ("self.size * 2", "self.size + 2", (10, 3, 5, True)),
        ("size < LIMIT", "size > LIMIT", (10, 3, 6, False)),
    ],
)
def test_a_change_reaches_everybody(
    mutated: ModuleType, old: str, new: str, seen: tuple[int, int, int, bool]
) -> None:
    box = mutated.Box()
    assert (mutated.LIMIT, box.size, box.double, mutated.fits(5)) == (10, 3, 6, True)
    plant("mutated", SOURCE, SOURCE.replace(old, new))
    box = mutated.Box()
    assert (mutated.LIMIT, box.size, box.double, mutated.fits(5)) == seen
