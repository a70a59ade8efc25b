"""The archive of the functions, unpacked, for the Python and machine that run the tests."""

import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from plumbline.deployment.lambda_archive import (
    LambdaArchive,
    build_lambda_archive,
    lambda_target,
)

ROOT = Path(__file__).parents[1]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was built, the archive, and the directory that it was unpacked to."""

    built: LambdaArchive
    archive: Path
    tree: Path


def unpack_archive(out: Path) -> Unpacked:
    """Build the archive into ``out`` and unpack it there."""
    built = build_lambda_archive(ROOT, out, lambda_target(PYTHON, "x86_64"))
    with zipfile.ZipFile(out / built.archive) as archive:
        archive.extractall(out / "tree")
    return Unpacked(built, out / built.archive, out / "tree")
