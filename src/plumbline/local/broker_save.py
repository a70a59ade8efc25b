"""Makes the broker of a data directory save what it has in memory, at once."""

from pathlib import Path

from plumbline.adapters.mqtt import saving
from plumbline.local.servers.leftovers import running_processes


def save(data_dir: Path) -> None:
    """Return when the broker has saved, or none runs.

    Raises:
        BrokerUnavailable: It has not, in ten seconds.
    """
    home = data_dir / "mosquitto"
    processes = running_processes("mosquitto", home)
    if processes:
        saving.save(processes, home / "state")
