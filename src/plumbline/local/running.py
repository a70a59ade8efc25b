"""The environment of the running system's functions, kept for `plumbline trigger` and the like."""

import json
from pathlib import Path

from plumbline.errors import ConfigurationError
from plumbline.local.private_file import write_private

_FILE = Path("secrets") / "worker-environment.json"


def write_environment(data_dir: Path, environment: dict[str, str]) -> None:
    """Keep the environment, readable by its owner alone."""
    path = data_dir / _FILE
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(path, json.dumps(environment))


def read_environment(data_dir: Path) -> dict[str, str]:
    """Return the environment.

    Raises:
        ConfigurationError: Nothing was ever started in the data directory.
    """
    try:
        environment: dict[str, str] = json.loads((data_dir / _FILE).read_text("utf-8"))
    except FileNotFoundError as error:
        msg = f"nothing was started in {data_dir}: start it with `plumbline up`, or name --data-dir"
        raise ConfigurationError(msg) from error
    return environment
