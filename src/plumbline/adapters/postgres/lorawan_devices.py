"""The registry as uplinks ask it, on PostgreSQL."""

from collections.abc import Collection, Mapping

from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.devices import lorawan_of
from plumbline.adapters.postgres.queries import load
from plumbline.ports import LorawanDevice


class PostgresLorawanDevices:
    """See ``ports.LorawanDevices``; for one thread.

    Args:
        database: Its connection; failures become StoreUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = load("devices.sql")

    def find(self, dev_euis: Collection[str]) -> Mapping[str, LorawanDevice]:
        """Return the registered devices among these, by DevEUI."""
        with self._database.connection() as connection:
            rows = connection.execute(
                self._sql["find_lorawan"], {"dev_eui": list(dev_euis)}
            ).fetchall()
        found = {}
        for device_id, *lorawan, disabled in rows:
            device = LorawanDevice(device_id, lorawan_of(lorawan), disabled)
            found[device.lorawan.dev_eui] = device
        return found
