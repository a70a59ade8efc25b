"""The devices of a data directory, with the broker that this machine runs."""

import time
from contextlib import ExitStack
from pathlib import Path

from plumbline import bootstrap
from plumbline.adapters.mqtt.configuration import SERVICE_USERS
from plumbline.adapters.mqtt.credentials import PasswordFile, reload
from plumbline.adapters.run_lock import FileRunLock
from plumbline.application.devices import Devices
from plumbline.errors import AlreadyRunning
from plumbline.local.running import read_environment
from plumbline.local.servers.leftovers import running_processes
from plumbline.local.servers.mosquitto import service_password

# A run that holds the lock for longer is in the middle of a backlog: its session is connected.
_RUN_PATIENCE_S = 5.0
_RUN_POLL_S = 0.05


def devices_of(data_dir: Path, database_url: str) -> Devices:
    """Return the registry in that database, which tells that data directory's broker."""
    credentials = PasswordFile(
        data_dir / "mosquitto" / "passwords",
        {user: service_password(data_dir, user) for user in SERVICE_USERS},
        lambda: _reload(data_dir),
    )
    return bootstrap.devices(database_url, credentials)


def _reload(data_dir: Path) -> None:
    """Make the broker read its files again, while the ingest session is connected.

    After a restart the broker does not have the session's password; a reload would then take the
    session's rights until it connects, and drop what devices publish meanwhile.
    """
    processes = running_processes("mosquitto", data_dir / "mosquitto")
    if not processes:
        return  # it reads them when it starts
    with ExitStack() as stack:
        if _hold_parsing(data_dir, stack):
            broker = bootstrap.ingest_broker(read_environment(data_dir)["BROKER_ENDPOINT"])
            for address in broker.addresses():
                stack.enter_context(broker.open(address))
        for process in processes:
            reload(process)


def _hold_parsing(data_dir: Path, stack: ExitStack) -> bool:
    """Keep runs of the parsing function away; False where one is busy with its own session."""
    lock = FileRunLock(data_dir / "run")
    deadline = time.monotonic() + _RUN_PATIENCE_S
    while time.monotonic() < deadline:
        try:
            stack.enter_context(lock.hold("parsing"))
        except AlreadyRunning:
            time.sleep(_RUN_POLL_S)
        else:
            return True
    return False
