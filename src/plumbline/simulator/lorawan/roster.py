"""Which LoRaWAN devices a simulation has, as they are to be registered."""

from hashlib import blake2b
from uuid import NAMESPACE_URL, uuid5

from plumbline.domain.device import Lorawan, NetworkServer
from plumbline.simulator.lorawan.sensors import MODELS

_APPLICATION = "plumbline-simulator"
_TENANT = "ttn"


def roster(device_ids: list[str], interval_s: float) -> dict[str, Lorawan]:
    """Return registry entries: every other one at each network server, the models in turn.

    A device's DevEUI is made of its id, and is locally administered, as no real one is.
    """
    return {
        device_id: _entry(device_id, index, interval_s)
        for index, device_id in enumerate(device_ids)
    }


def _entry(device_id: str, index: int, interval_s: float) -> Lorawan:
    digest = bytearray(blake2b(device_id.encode(), digest_size=8).digest())
    digest[0] = digest[0] & 0xFC | 0x02
    dev_eui = digest.hex()
    interval = max(1, round(interval_s))
    model = MODELS[index % len(MODELS)].name
    if index % 2 == 0:
        return Lorawan(
            dev_eui=dev_eui,
            network_server=NetworkServer.CHIRPSTACK,
            application=str(uuid5(NAMESPACE_URL, _APPLICATION)),
            sensor_model=model,
            uplink_interval_s=interval,
        )
    return Lorawan(
        dev_eui=dev_eui,
        network_server=NetworkServer.THINGS_STACK,
        application=_APPLICATION,
        tenant=_TENANT,
        network_device_id=f"eui-{dev_eui}",
        sensor_model=model,
        uplink_interval_s=interval,
    )
