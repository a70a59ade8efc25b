"""The source tree that packages are built from."""

from pathlib import Path

from plumbline.errors import ConfigurationError


def find_checkout() -> Path:
    """Return the root of the source tree that this module lies in.

    Raises:
        ConfigurationError: Plumbline was installed from a wheel, which has no locks.
    """
    root = Path(__file__).parents[3]
    if not (root / "pyproject.toml").is_file() or not (root / "requirements").is_dir():
        msg = "packages are built from a checkout of Plumbline: run ./run package … there"
        raise ConfigurationError(msg)
    return root
