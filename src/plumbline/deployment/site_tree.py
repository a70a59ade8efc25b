"""A directory of importable modules: a lock's wheels for some machine, and Plumbline's own."""

import tempfile
import zipfile
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePosixPath

from plumbline.deployment.wheels import Target, build_own, download_locked

_SERVICE_DEPTH = 3  # botocore/data/SERVICE/…


def build_site_tree(
    checkout: Path, lock: str, target: Target, tree: Path, *, services: AbstractSet[str]
) -> None:
    """Unpack everything that a lock names, and Plumbline, into ``tree``.

    Args:
        checkout: Root of the source tree.
        lock: File name in ``requirements``.
        target: Machine that it will run on.
        tree: Directory, made where it is missing.
        services: AWS services that are called: botocore describes some 400, which is most of it.

    Raises:
        PackagingFailed: A wheel is missing or differs.
    """
    with tempfile.TemporaryDirectory(prefix="plumbline-wheels-") as name:
        wheels = Path(name)
        download_locked(checkout / "requirements" / lock, target, wheels)
        build_own(checkout, wheels)
        for wheel in sorted(wheels.glob("*.whl")):
            _unpack(wheel, tree, services)


def _unpack(wheel: Path, tree: Path, services: AbstractSet[str]) -> None:
    """Put the modules of a wheel into the tree; its scripts and headers serve nobody there."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            place = _place(name, services)
            if place is not None and not name.endswith("/"):
                path = tree / place
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))


def _place(name: str, services: AbstractSet[str]) -> PurePosixPath | None:
    """Return where a file of a wheel goes below the root; None where it does not go in."""
    path = PurePosixPath(name)
    if path.parts[0].endswith(".data"):
        if path.parts[1] not in {"purelib", "platlib"}:
            return None
        path = PurePosixPath(*path.parts[2:])
    if path.parts[:2] == ("botocore", "data") and len(path.parts) > _SERVICE_DEPTH:
        return path if path.parts[2] in services else None
    if path.parts[0].endswith(".dist-info") and path.name == "RECORD":
        return None  # it lists what is left out
    return path
