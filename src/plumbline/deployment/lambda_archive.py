"""The one archive of all functions, and the description that Terraform reads beside it."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from plumbline.deployment.archives import as_base64, sha256, write_zip
from plumbline.deployment.database_ca import CA_FILE, read_certificates
from plumbline.deployment.site_tree import build_site_tree
from plumbline.deployment.wheels import Target
from plumbline.errors import PackagingFailed
from plumbline.topology import TOPOLOGY

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ARCHIVE = "lambdas.zip"
DESCRIPTION = "lambdas.json"
MAX_ARCHIVE_BYTES = 50 * 1024 * 1024
"""Of a direct upload."""
MAX_UNPACKED_BYTES = 250 * 1024 * 1024

# Lambda unpacks there; so that tracebacks name files that exist.
_TASK_ROOT = "/var/task"
_SERVICES = frozenset({"s3", "secretsmanager", "sqs", "sts"})
_GLIBC_MINORS = {"3.11": 26}  # Amazon Linux 2; all others stand on Amazon Linux 2023
_AL2023_GLIBC_MINOR = 34


@dataclass(frozen=True, slots=True)
class LambdaArchive:
    """What was built.

    Attributes:
        archive: File name, beside the description.
        sha256: Of the archive, hexadecimal.
        source_code_hash: The same in base64, as Lambda has it.
        runtime, architecture: What the functions must be given.
        bytecode: Whether modules are compiled.
        database_ca: Whether it holds CA_FILE.
        handlers: By function.
    """

    archive: str
    sha256: str
    source_code_hash: str
    archive_bytes: int
    unpacked_bytes: int
    runtime: str
    architecture: str
    bytecode: bool
    database_ca: bool
    handlers: dict[str, str]


def lambda_target(python: str, architecture: str) -> Target:
    """Return the machine that Lambda runs that Python on."""
    return Target(python, architecture, _GLIBC_MINORS.get(python, _AL2023_GLIBC_MINOR))


def build_lambda_archive(
    checkout: Path,
    out: Path,
    target: Target,
    *,
    database_ca: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> LambdaArchive:
    """Write ARCHIVE and DESCRIPTION into ``out``.

    Args:
        checkout: Root of the source tree.
        out: Directory, made where it is missing.
        target: See ``lambda_target``.
        database_ca: PEM file with the certificate authorities of RDS.
        say: Told what is done, for people.

    Raises:
        PackagingFailed: A wheel is missing, or the archive is larger than Lambda takes.
        ConfigurationError: The CA file holds no certificate.
    """
    with tempfile.TemporaryDirectory(prefix="plumbline-package-") as name:
        tree = Path(name)
        say(f"fetching wheels for python{target.python} on {target.architecture}")
        build_site_tree(checkout, "lambda.txt", target, tree, services=_SERVICES)
        if database_ca is not None:
            (tree / CA_FILE).write_bytes(read_certificates(database_ca))
        compiled = _compile(tree, target.python)
        if not compiled:
            say(
                f"there is no python{target.python} here: the archive holds no bytecode,"
                " and the functions start more slowly"
            )
        files = {
            path.relative_to(tree).as_posix(): path.read_bytes()
            for path in tree.rglob("*")
            if path.is_file()
        }
    out.mkdir(parents=True, exist_ok=True)
    write_zip(out / ARCHIVE, files)
    digest = sha256(out / ARCHIVE)
    built = LambdaArchive(
        archive=ARCHIVE,
        sha256=digest,
        source_code_hash=as_base64(digest),
        archive_bytes=(out / ARCHIVE).stat().st_size,
        unpacked_bytes=sum(map(len, files.values())),
        runtime=f"python{target.python}",
        architecture=target.architecture,
        bytecode=compiled,
        database_ca=database_ca is not None,
        handlers={function.name: function.handler for function in TOPOLOGY.functions},
    )
    check_size(built)
    (out / DESCRIPTION).write_text(json.dumps(asdict(built), indent=2) + "\n", "utf-8")
    return built


def check_size(built: LambdaArchive) -> None:
    """Refuse what Lambda would refuse.

    Raises:
        PackagingFailed: Naming the size and the limit.
    """
    for what, size, limit in (
        ("compressed", built.archive_bytes, MAX_ARCHIVE_BYTES),
        ("unpacked", built.unpacked_bytes, MAX_UNPACKED_BYTES),
    ):
        if size > limit:
            msg = (
                f"the archive is {size / 2**20:.1f} MiB {what}; Lambda takes {limit / 2**20:.0f}:"
                " take something out of the extra `lambda` in pyproject.toml"
            )
            raise PackagingFailed(msg)


def _compile(tree: Path, python: str) -> bool:
    """Compile all modules beside their sources; tell whether that Python is here to do it.

    Lambda's directory cannot be written, so that every cold start would compile anew. The bytecode
    is taken without a look at its source's time, which an archive does not keep.
    """
    interpreter = _interpreter(python)
    if interpreter is None:
        return False
    done = subprocess.run(
        [
            *(interpreter, "-S", "-m", "compileall", "-q", "-j1"),
            *("--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", _TASK_ROOT),
            str(tree),
        ],
        env={"PYTHONHASHSEED": "0"},  # the order of a constant set is part of the bytecode
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"the modules cannot be compiled: {done.stdout.strip()[-500:]}"
        raise PackagingFailed(msg)
    return True


def _interpreter(python: str) -> str | None:
    if f"{sys.version_info.major}.{sys.version_info.minor}" == python:
        return sys.executable
    found = shutil.which(f"python{python}")
    if found is None:
        return None
    # A version manager leaves a program of that name that runs nothing.
    works = subprocess.run([found, "-S", "-c", ""], capture_output=True, check=False)
    return found if works.returncode == 0 else None
