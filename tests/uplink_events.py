"""Uplink events of both network servers, for tests, and a registry in memory."""

import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from plumbline.domain.device import Lorawan, NetworkServer
from plumbline.domain.reading import format_time
from plumbline.errors import StoreUnavailable
from plumbline.ports import LorawanDevice

DEV_EUI = "1000000000000001"
OTHER_EUI = "1000000000000002"
SENT_AT = datetime(2026, 1, 18, 10, 29, 57, tzinfo=UTC)
TILT = bytes.fromhex("03cf64009cff282307")
"""EM310-TILT: x 1.00, y -1.00, z 90.00 degrees, all three alarms."""
CALM = bytes.fromhex("03cf64009cff282300")
BATTERY = bytes.fromhex("017564")
"""EM310-TILT: battery 100 %, no angles."""


def entry(dev_eui: str = DEV_EUI, **changes: Any) -> Lorawan:  # noqa: ANN401 - of any field
    """Make what a device at a ChirpStack is registered with."""
    made = Lorawan(
        dev_eui=dev_eui,
        network_server=NetworkServer.CHIRPSTACK,
        application="app",
        sensor_model="milesight-em310-tilt",
    )
    return replace(made, **changes)


def things_stack_entry(dev_eui: str = DEV_EUI, **changes: Any) -> Lorawan:  # noqa: ANN401 - of any field
    """Make what a device at a Things Stack is registered with."""
    made = entry(
        dev_eui,
        network_server=NetworkServer.THINGS_STACK,
        tenant="ttn",
        network_device_id=f"eui-{dev_eui}",
    )
    return replace(made, **changes)


def chirpstack_topic(dev_eui: str = DEV_EUI, application: str = "app") -> str:
    return f"application/{application}/device/{dev_eui}/event/up"


def things_stack_topic(dev_eui: str = DEV_EUI, application: str = "app@ttn") -> str:
    return f"v3/{application}/devices/eui-{dev_eui}/up"


def chirpstack_event(  # noqa: PLR0913 - each is one thing of an uplink, all by keyword
    payload: bytes = CALM,
    *,
    dev_eui: str = DEV_EUI,
    f_cnt: int = 4,
    f_port: int = 85,
    at: datetime = SENT_AT,
    rssi: float = -80,
    snr: float = 5.0,
    gateway: str = "roof",
    application: str = "app",
    address: str = "20000001",
) -> bytes:
    """Make the payload of one event."""
    event: dict[str, Any] = {
        "deduplicationId": "57433366-50a6-4dc2-8145-2df1bbc70d9e",
        "time": format_time(at),
        "deviceInfo": {"applicationId": application, "deviceName": "pier", "devEui": dev_eui},
        "devAddr": address,
        "fCnt": f_cnt,
        "fPort": f_port,
        "data": base64.b64encode(payload).decode(),
        "rxInfo": [{"gatewayId": gateway, "rssi": rssi, "snr": snr}],
        "txInfo": {"modulation": {"lora": {"spreadingFactor": 7}}},
    }
    return _without_zeros(event)


def things_stack_event(  # noqa: PLR0913 - each is one thing of an uplink, all by keyword
    payload: bytes = CALM,
    *,
    dev_eui: str = DEV_EUI,
    f_cnt: int = 4,
    f_port: int = 85,
    at: datetime = SENT_AT,
    rssi: float = -80,
    snr: float = 5.0,
    gateway: str = "roof",
    application: str = "app",
    device_id: str | None = None,
) -> bytes:
    """Make the payload of one event."""
    message: dict[str, Any] = {
        "f_port": f_port,
        "f_cnt": f_cnt,
        "frm_payload": base64.b64encode(payload).decode(),
        "rx_metadata": [{"gateway_ids": {"gateway_id": gateway}, "rssi": rssi, "snr": snr}],
        "settings": {"data_rate": {"lora": {"spreading_factor": 7}}},
        "received_at": format_time(at),
    }
    ids = {
        "device_id": device_id or f"eui-{dev_eui}",
        "application_ids": {"application_id": application},
        "dev_eui": dev_eui.upper(),
        "dev_addr": "20000001",
    }
    return json.dumps(
        {"end_device_ids": ids, "uplink_message": json.loads(_without_zeros(message))}
    ).encode()


def _without_zeros(members: dict[str, Any]) -> bytes:
    return json.dumps({name: value for name, value in members.items() if value != 0}).encode()


class FakeLorawanDevices:
    """A registry in memory that counts how often it is asked, and can be away."""

    def __init__(self, **devices: Lorawan) -> None:
        self.entries = devices
        self.disabled: set[str] = set()
        self.away = False
        self.asked: list[set[str]] = []

    def find(self, dev_euis: Collection[str]) -> Mapping[str, LorawanDevice]:
        self.asked.append(set(dev_euis))
        if self.away:
            msg = "the registry is away"
            raise StoreUnavailable(msg)
        return {
            found.dev_eui: LorawanDevice(device_id, found, device_id in self.disabled)
            for device_id, found in self.entries.items()
            if found.dev_eui in dev_euis
        }
