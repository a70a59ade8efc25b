"""Archives whose bytes depend on their contents alone: sorted, without times, users and modes."""

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_COMPRESSION_LEVEL = 9


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a compressed zip of files, by name, that everybody may read."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            entry.create_system = 3  # Unix, whoever builds
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=_COMPRESSION_LEVEL)


def write_tar(path: Path, files: Mapping[str, bytes], executable: frozenset[str]) -> None:
    """Write an uncompressed tar of files, by name; those that are executable everybody may run."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755 if name in executable else 0o644
            archive.addfile(entry, io.BytesIO(content))


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def as_base64(hexadecimal: str) -> str:
    """Return a hexadecimal digest in base64, as Lambda and Terraform have it."""
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode("ascii")
