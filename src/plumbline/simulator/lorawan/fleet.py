"""The LoRaWAN devices of one run, and their network servers."""

from collections.abc import Callable
from functools import partial

from plumbline.domain.device import NetworkServer
from plumbline.simulator.config import Endpoint, LorawanPart
from plumbline.simulator.connection import DeviceConnection
from plumbline.simulator.device import Device
from plumbline.simulator.listening import ListeningConnection
from plumbline.simulator.lorawan import chirpstack, things_stack
from plumbline.simulator.lorawan.network import SimulatedServer
from plumbline.simulator.lorawan.radio import Downlink
from plumbline.simulator.lorawan.sender import Sender
from plumbline.simulator.plan import Publication, Schedule

_FILTERS = {
    NetworkServer.CHIRPSTACK: chirpstack.COMMAND_FILTERS,
    NetworkServer.THINGS_STACK: things_stack.COMMAND_FILTERS,
}


class LorawanFleet:
    """Devices behind network servers.

    Args:
        part: Which.
        endpoint: The broker.
        lost: Fraction of the downlinks that their device does not hear.
        on_outcome: Called with each publication and its PUBACK's reason code.
        on_executed: Called when a device has done what a downlink says.
    """

    def __init__(
        self,
        part: LorawanPart,
        endpoint: Endpoint,
        lost: float,
        *,
        on_outcome: Callable[[Publication, int], None],
        on_executed: Callable[[Sender, Downlink], None],
    ) -> None:
        self.device_ids = list(part.devices)
        self._entries = part.devices
        self._servers: dict[NetworkServer, SimulatedServer] = {}
        self._connections: dict[NetworkServer, DeviceConnection] = {}
        for kind in dict.fromkeys(entry.network_server for entry in part.devices.values()):
            server = SimulatedServer(partial(self._publish, kind), lost, on_executed)
            self._servers[kind] = server
            self._connections[kind] = ListeningConnection(
                *part.users[kind], endpoint, on_outcome, _FILTERS[kind], server.take
            )

    @property
    def connections(self) -> list[DeviceConnection]:
        """One a network server."""
        return list(self._connections.values())

    def add(self, device: Device) -> tuple[Sender, DeviceConnection]:
        """Put a device at its network server; return it, and what it is heard through."""
        entry = self._entries[device.device_id]
        sender = Sender(device, entry)
        self._servers[entry.network_server].add(sender)
        return sender, self._connections[entry.network_server]

    async def start(self, sender: Sender, schedule: Schedule) -> None:
        """Switch the device on."""
        sender.schedule = schedule
        await self._server_of(sender).start(sender, schedule.first_ms)

    async def after_uplink(self, sender: Sender, at_ms: int) -> None:
        """Do what its network server does in the device's receive windows."""
        await self._server_of(sender).after_uplink(sender, at_ms)

    async def _publish(self, kind: NetworkServer, publication: Publication) -> None:
        await self._connections[kind].publish(publication)

    def _server_of(self, sender: Sender) -> SimulatedServer:
        return self._servers[self._entries[sender.device.device_id].network_server]
