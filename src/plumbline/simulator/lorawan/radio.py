"""One uplink as the gateways heard it, and one downlink on its way to a device."""

from dataclasses import dataclass, field
from datetime import datetime

from plumbline.simulator.device import Device
from plumbline.simulator.noise import normal, uniform

_GATEWAYS_STREAM = 401
_RSSI_STREAM = 402  # and the next ones: one a gateway
_SNR_STREAM = 412

GATEWAYS = ("0016c001f1500812", "0016c001f1500813", "0016c001f1500814", "0016c001f1500815")
LATE_GATEWAY = 3
"""Index of the gateway that is slow at times, and then brings an event of its own."""


@dataclass(frozen=True, slots=True)
class Reception:
    """How one gateway heard a frame."""

    gateway_id: str
    rssi_dbm: int
    snr_db: float


@dataclass(frozen=True, slots=True)
class Transmission:
    """One frame on the air.

    Attributes:
        at: When the network received it, aware UTC; what must become the reading's time.
        address: The device's at present (DevAddr).
        receptions: At least one.
        old: Whether the network server is of an older version, with older fields.
    """

    at: datetime
    address: str
    f_cnt: int
    f_port: int
    payload: bytes
    receptions: tuple[Reception, ...]
    old: bool = False


@dataclass(slots=True)
class Downlink:
    """Bytes for a device.

    Attributes:
        identity: ChirpStack's queue item id, or The Things Stack's first correlation id.
        correlation_ids: The Things Stack's.
        expires_at: Aware UTC, or None.
        f_cnt: The downlink frame counter, once it was transmitted.
    """

    identity: str
    f_port: int
    payload: bytes
    confirmed: bool
    correlation_ids: list[str] = field(default_factory=list)
    priority: str = "NORMAL"
    expires_at: datetime | None = None
    f_cnt: int = -1


def receptions(device: Device, at_ms: int) -> tuple[Reception, ...]:
    """Return how up to three gateways hear the device at that time (Unix milliseconds)."""
    count = 1 + int(uniform(device.seed, at_ms, _GATEWAYS_STREAM) * LATE_GATEWAY)
    return tuple(reception(device, at_ms, gateway) for gateway in range(count))


def reception(device: Device, at_ms: int, gateway: int) -> Reception:
    """Return how one gateway hears it; the ratio in steps of 0.25 dB, and 0 at times."""
    rssi_dbm = device.rssi_dbm + 4 * normal(device.seed, at_ms, _RSSI_STREAM + gateway)
    snr_db = device.snr_db + 4 * normal(device.seed, at_ms, _SNR_STREAM + gateway)
    return Reception(GATEWAYS[gateway], round(rssi_dbm), round(snr_db * 4) / 4)
