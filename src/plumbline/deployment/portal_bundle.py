"""The portal as its instances install it: wheels, a systemd unit, and what installs them."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files as resources
from pathlib import Path

from plumbline.deployment.archives import sha256, write_tar
from plumbline.deployment.database_ca import CA_FILE, read_certificates
from plumbline.deployment.wheels import Target, build_own, download_locked

ARCHIVE = "portal.tar"
DESCRIPTION = "portal.json"

_AL2023_GLIBC_MINOR = 34
_UNIT = "plumbline-portal.service"
_INSTALL = "install"


@dataclass(frozen=True, slots=True)
class PortalBundle:
    """What was built.

    Attributes:
        archive: File name, beside the description.
        sha256: Of the archive, hexadecimal.
        python, architecture: What the instances must have.
        database_ca: Whether it holds the certificate authorities of RDS.
    """

    archive: str
    sha256: str
    archive_bytes: int
    python: str
    architecture: str
    database_ca: bool


def portal_target(python: str, architecture: str) -> Target:
    """Return the machine of an instance: Amazon Linux 2023, or anything newer."""
    return Target(python, architecture, _AL2023_GLIBC_MINOR)


def build_portal_bundle(
    checkout: Path,
    out: Path,
    target: Target,
    *,
    database_ca: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> PortalBundle:
    """Write ARCHIVE and DESCRIPTION into ``out``.

    Args:
        checkout: Root of the source tree.
        out: Directory, made where it is missing.
        target: See ``portal_target``.
        database_ca: PEM file with the certificate authorities of RDS.
        say: Told what is done, for people.

    Raises:
        PackagingFailed: A wheel is missing.
        ConfigurationError: The CA file holds no certificate.
    """
    contents = {
        name: (resources("plumbline.deployment") / "portal_files" / name).read_bytes()
        for name in (_INSTALL, _UNIT)
    }
    if database_ca is not None:
        contents[CA_FILE] = read_certificates(database_ca)
    with tempfile.TemporaryDirectory(prefix="plumbline-package-") as name:
        directory = Path(name)
        say(f"fetching wheels for python{target.python} on {target.architecture}")
        download_locked(checkout / "requirements" / "runtime.txt", target, directory)
        build_own(checkout, directory)
        wheels = {path.name: path.read_bytes() for path in sorted(directory.glob("*.whl"))}
    contents["python"] = f"{target.python}\n".encode()
    contents["requirements.txt"] = _requirements(wheels).encode()
    contents |= {f"wheels/{name}": wheel for name, wheel in wheels.items()}
    out.mkdir(parents=True, exist_ok=True)
    archive = {f"plumbline-portal/{name}": content for name, content in contents.items()}
    write_tar(out / ARCHIVE, archive, frozenset({f"plumbline-portal/{_INSTALL}"}))
    built = PortalBundle(
        archive=ARCHIVE,
        sha256=sha256(out / ARCHIVE),
        archive_bytes=(out / ARCHIVE).stat().st_size,
        python=target.python,
        architecture=target.architecture,
        database_ca=database_ca is not None,
    )
    (out / DESCRIPTION).write_text(json.dumps(asdict(built), indent=2) + "\n", "utf-8")
    (out / f"{ARCHIVE}.sha256").write_text(f"{built.sha256}  {ARCHIVE}\n", "utf-8")
    return built


def _requirements(wheels: dict[str, bytes]) -> str:
    """Return what pip installs, each wheel with its hash."""
    return "".join(
        f"./wheels/{name} --hash=sha256:{hashlib.sha256(content).hexdigest()}\n"
        for name, content in wheels.items()
    )
