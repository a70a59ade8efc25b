"""One LoRaWAN uplink, whichever network server it came from."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from plumbline.domain.signal import strength

MAX_F_PORT = 255
MAX_F_CNT = 0xFFFF_FFFF


class Reception(NamedTuple):
    """How one gateway heard the uplink; None where it does not say."""

    gateway_id: str
    rssi_dbm: float | None
    snr_db: float | None


@dataclass(frozen=True, slots=True)
class Uplink:
    """A frame of a device.

    Attributes:
        dev_eui: 16 hexadecimal digits, lower case.
        application: The application's id at the network server.
        device_name: The device's name at ChirpStack, its device id at The Things Stack (which
            downlinks need).
        f_port: 0 to 255; 0 carries no application data.
        f_cnt: Frame counter.
        payload: The sensor's bytes.
        observed_at: When it was received, aware UTC; see the decoder for which clock.
        gateway_id, rssi_dbm, snr_db: Of the gateway that heard it best.
        deduplication_id: The same for the same frame of the same session, however often and
            through whichever gateway it comes.
    """

    dev_eui: str
    application: str
    device_name: str
    f_port: int
    f_cnt: int
    payload: bytes
    observed_at: datetime
    gateway_id: str
    rssi_dbm: float | None
    snr_db: float | None
    deduplication_id: str


def best_reception(receptions: Iterable[Reception]) -> Reception:
    """Return the strongest, the first of equals; one that says nothing where there is none."""
    return max(
        receptions,
        key=lambda one: strength(one.snr_db, one.rssi_dbm),
        default=Reception("", None, None),
    )


def identify(dev_eui: str, session: str, f_cnt: int, f_port: int, payload: bytes) -> str:
    """Return the deduplication id of a frame: 32 hexadecimal digits.

    Args:
        session: What changes when the device joins anew and its counter starts again: its
            address.
    """
    digest = blake2b(digest_size=16)
    digest.update(f"{dev_eui} {session} {f_cnt} {f_port} ".encode())
    digest.update(payload)
    return digest.hexdigest()
