"""`DATA_DIR/endpoints.json`: how others reach the running system."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from plumbline.errors import ConfigurationError
from plumbline.local.private_file import write_private


@dataclass(frozen=True, slots=True)
class Endpoints:
    """URLs of the running system, with their credentials; ``pid`` of `plumbline up`."""

    portal_url: str
    mqtt_url: str
    mqtts_url: str
    database_url: str
    redis_url: str
    pid: int
    portal_username: str | None = None
    portal_password: str | None = None


def write_endpoints(data_dir: Path, endpoints: Endpoints) -> None:
    """Write the file at once, readable by its owner alone."""
    members = {key: value for key, value in asdict(endpoints).items() if value is not None}
    write_private(data_dir / "endpoints.json", json.dumps(members, indent=2))


def read_endpoints(data_dir: Path) -> Endpoints | None:
    """Return what runs in the data directory; None where nothing does.

    Raises:
        ConfigurationError: The file is not one of ours.
    """
    path = data_dir / "endpoints.json"
    try:
        return Endpoints(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ConfigurationError(msg) from error


def remove_endpoints(data_dir: Path) -> None:
    """Remove the file, if it is there."""
    (data_dir / "endpoints.json").unlink(missing_ok=True)
