"""What the broker's image is built from, so that its build needs Debian's packages and no index."""

import shutil
from collections.abc import Callable
from pathlib import Path

from plumbline.deployment.site_tree import build_site_tree
from plumbline.deployment.wheels import Target

DIRECTORY = "broker"

_TRIXIE_GLIBC_MINOR = 41
_SERVICES = frozenset({"s3", "sts"})


def broker_target(python: str, architecture: str) -> Target:
    """Return the machine inside the image: Debian 13."""
    return Target(python, architecture, _TRIXIE_GLIBC_MINOR)


def build_broker_context(
    checkout: Path, out: Path, target: Target, *, say: Callable[[str], None] = lambda _: None
) -> Path:
    """Write the directory that ``docker build`` takes into ``out``, and return it.

    Args:
        checkout: Root of the source tree.
        out: Directory, made where it is missing.
        target: See ``broker_target``.
        say: Told what is done, for people.

    Raises:
        PackagingFailed: A wheel is missing.
    """
    context = out / DIRECTORY
    if context.exists():
        shutil.rmtree(context)
    say(f"fetching wheels for python{target.python} on {target.architecture}")
    build_site_tree(checkout, "broker.txt", target, context / "site", services=_SERVICES)
    shutil.copy(checkout / "broker" / "Dockerfile", context / "Dockerfile")
    return context
