"""A device as the registry knows it."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

DEV_EUI = re.compile(r"[0-9a-f]{16}", re.ASCII)


class Protocol(StrEnum):
    """How a device reaches the broker."""

    MQTT = "mqtt"
    """As a client of its own, with its own password."""
    LORAWAN = "lorawan"
    """Through a network server; it has no password at the broker."""


class NetworkServer(StrEnum):
    """The LoRaWAN network server that a device is registered at."""

    CHIRPSTACK = "chirpstack"
    """ChirpStack v4."""
    THINGS_STACK = "things-stack"
    """The Things Stack v3."""


class DeviceClass(StrEnum):
    """When a LoRaWAN device listens."""

    A = "A"
    """After each of its own uplinks only."""
    C = "C"
    """Always, but while it sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lorawan:
    """What a LoRaWAN device is known by.

    Attributes:
        dev_eui: 16 hexadecimal digits, lower case; no other device has it.
        network_server: Where it is registered.
        application: Id of its application there.
        tenant: The Things Stack: empty where the deployment has none. ChirpStack: None.
        network_device_id: The Things Stack: its id of the device. ChirpStack: None.
        sensor_model: Names the codec that reads its bytes.
        uplink_interval_s: How often it is expected to send, or None.
        device_class: When it listens.
    """

    dev_eui: str
    network_server: NetworkServer
    application: str
    tenant: str | None = None
    network_device_id: str | None = None
    sensor_model: str
    uplink_interval_s: int | None = None
    device_class: DeviceClass = DeviceClass.A


@dataclass(frozen=True, slots=True)
class Device:
    """An entry of the registry.

    Attributes:
        device_id: Also the user name at the broker.
        name: For people; may be empty.
        protocol: How it reaches the broker.
        created_at: When it was added, aware UTC.
        rotated_at: When it last got a new password, or None.
        disabled_at: Since when it may not connect, or None; of a LoRaWAN device, since when its
            uplinks are refused.
        lorawan: What a LoRaWAN device is known by; None for MQTT.
    """

    device_id: str
    name: str
    protocol: Protocol
    created_at: datetime
    rotated_at: datetime | None = None
    disabled_at: datetime | None = None
    lorawan: Lorawan | None = None
