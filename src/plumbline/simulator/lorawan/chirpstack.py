"""A ChirpStack v4 as the broker sees it: its events, and the commands that it takes.

Source: chirpstack/chirpstack: api/proto/integration/integration.proto as protobuf's JSON (fields
of value 0 are left out), chirpstack/src/integration/mqtt.rs, downlink/data.rs, uplink/data.rs.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from plumbline.domain.device import Lorawan
from plumbline.simulator.lorawan.radio import Downlink, Reception, Transmission

Message = tuple[str, bytes]
"""Topic and payload."""

COMMAND_FILTERS = ("application/+/device/+/command/down",)
_TENANT = str(uuid5(NAMESPACE_URL, "plumbline-simulator/tenant"))


class ChirpStack:
    """What it says of one device."""

    def __init__(self, name: str, entry: Lorawan) -> None:
        self._entry = entry
        self._device = {
            "tenantId": _TENANT,
            "tenantName": "ChirpStack",
            "applicationId": entry.application,
            "applicationName": "structures",
            "deviceProfileId": str(uuid5(NAMESPACE_URL, entry.sensor_model)),
            "deviceProfileName": entry.sensor_model,
            "deviceName": name,
            "devEui": entry.dev_eui,
            "tags": {},
        }
        self._topic = f"application/{entry.application}/device/{entry.dev_eui}"
        self.command_topics = (f"{self._topic}/command/down",)

    def uplink(self, sent: Transmission) -> Message:
        """Return the event of an uplink."""
        event = {
            "deduplicationId": str(uuid4()),
            "time": _time(sent.at),
            "deviceInfo": self._device,
            "devAddr": sent.address,
            "adr": True,
            "dr": 5,
            "fCnt": sent.f_cnt,
            "fPort": sent.f_port,
            "confirmed": False,
            "data": base64.b64encode(sent.payload).decode(),
            "rxInfo": [_reception(one, sent) for one in sent.receptions],
            "txInfo": {
                "frequency": 868_100_000,
                "modulation": {
                    "lora": {"bandwidth": 125_000, "spreadingFactor": 7, "codeRate": "CR_4_5"}
                },
            },
        }
        return self._message("event/up", event)

    def joined(self, address: str) -> list[Message]:
        """Return what it says after the device has joined."""
        event = {
            "deduplicationId": str(uuid4()),
            "time": _time(datetime.now(UTC)),
            "deviceInfo": self._device,
            "devAddr": address,
        }
        return [self._message("event/join", event)]

    def read_command(self, topic: str, payload: bytes) -> tuple[list[Downlink], bool]:
        """Return the downlinks that a command asks for, and False: it never replaces the queue.

        None where it is no command that ChirpStack takes.
        """
        del topic
        try:
            command = json.loads(payload)
            if command["devEui"].lower() != self._entry.dev_eui or not command["fPort"]:
                return [], False
            expires_at = command.get("expiresAt")
            downlink = Downlink(
                identity=str(UUID(command["id"])) if command.get("id") else str(uuid4()),
                f_port=int(command["fPort"]),
                payload=base64.b64decode(command.get("data", ""), validate=True),
                confirmed=bool(command.get("confirmed", False)),
                expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return [], False
        return [downlink], False

    def accepts(self, downlink: Downlink, queued: Mapping[str, Downlink]) -> bool:
        """Tell whether it goes into the queue: an id is a primary key there."""
        return downlink.identity not in queued

    def queued(self, downlink: Downlink) -> list[Message]:
        """Return what it says when a downlink is in the queue: nothing."""
        del downlink
        return []

    def failed(self, downlink: Downlink) -> list[Message]:
        """Return what it says of a downlink that it cannot take: nothing."""
        del downlink
        return []

    def expired(self, downlink: Downlink) -> list[Message]:
        """Return what it says when a downlink is dropped because its time is over."""
        event = {
            "time": _time(datetime.now(UTC)),
            "deviceInfo": self._device,
            "level": "ERROR",
            "code": "EXPIRED",
            "description": "Device queue-item discarded because it has expired",
            "context": {"queue_item_id": downlink.identity},
        }
        return [self._message("event/log", event)]

    def sent(self, downlink: Downlink, gateway_id: str) -> list[Message]:
        """Return what it says when a gateway has transmitted the downlink."""
        event = {
            "downlinkId": downlink.f_cnt + 1,
            "time": _time(datetime.now(UTC)),
            "deviceInfo": self._device,
            "queueItemId": downlink.identity,
            "fCntDown": downlink.f_cnt,
            "gatewayId": gateway_id,
        }
        return [self._message("event/txack", event)]

    def acknowledged(self, downlink: Downlink, *, heard: bool) -> list[Message]:
        """Return what it says when the device has acknowledged, or should have."""
        event = {
            "deduplicationId": str(uuid4()),
            "time": _time(datetime.now(UTC)),
            "deviceInfo": self._device,
            "queueItemId": downlink.identity,
            "acknowledged": heard,
            "fCntDown": downlink.f_cnt,
        }
        return [self._message("event/ack", event)]

    def tries_again(self) -> bool:
        """Tell whether a downlink that was not acknowledged is transmitted again."""
        return False

    def _message(self, leaf: str, event: Mapping[str, Any]) -> Message:
        return f"{self._topic}/{leaf}", json.dumps(without_zeros(event)).encode()


def without_zeros(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members as protobuf's JSON has them: without 0, false and empty texts."""
    return {
        name: value for name, value in members.items() if isinstance(value, dict | list) or value
    }


def _reception(one: Reception, sent: Transmission) -> dict[str, Any]:
    """Return a member of rxInfo; before 4.3 it had but one time."""
    times = {"time": _time(sent.at)}
    if not sent.old:
        times = {"gwTime": _time(sent.at), "nsTime": _time(sent.at)}
    return without_zeros(
        {
            "gatewayId": one.gateway_id,
            "uplinkId": sent.f_cnt + 1000,
            **times,
            "rssi": one.rssi_dbm,
            "snr": one.snr_db,
            "crcStatus": "CRC_OK",
        }
    )


def _time(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")
