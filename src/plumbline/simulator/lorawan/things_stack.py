"""A Things Stack v3 as the broker sees it through a bridge: its messages, and what it takes.

Source: thethingsindustries.com/docs/integrations/data-formats (fields that are 0, false or empty
are left out) and integrations/other-integrations/mqtt.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

from plumbline.domain.device import Lorawan
from plumbline.simulator.lorawan.chirpstack import Message, without_zeros
from plumbline.simulator.lorawan.radio import Downlink, Reception, Transmission

COMMAND_FILTERS = ("v3/+/devices/+/down/push", "v3/+/devices/+/down/replace")
_APPLICATION_PORTS = range(1, 224)
_PRIORITIES = ("LOWEST", "LOW", "BELOW_NORMAL", "NORMAL", "ABOVE_NORMAL", "HIGH", "HIGHEST")


class ThingsStack:
    """What it says of one device."""

    def __init__(self, name: str, entry: Lorawan) -> None:
        del name  # the application knows the device by an id of its own
        self._ids = {
            "device_id": entry.network_device_id,
            "application_ids": {"application_id": entry.application},
            "dev_eui": entry.dev_eui.upper(),
            "join_eui": "0000000000000001",
        }
        tenant = f"@{entry.tenant}" if entry.tenant else ""
        self._topic = f"v3/{entry.application}{tenant}/devices/{entry.network_device_id}"
        self.command_topics = (f"{self._topic}/down/push", f"{self._topic}/down/replace")

    def uplink(self, sent: Transmission) -> Message:
        """Return the message of an uplink."""
        message = {
            "session_key_id": "AYgzBxz1rDtFbfMl4y+gPg==",
            "f_port": sent.f_port,
            "f_cnt": sent.f_cnt,
            "frm_payload": base64.b64encode(sent.payload).decode(),
            "rx_metadata": [_reception(one, sent) for one in sent.receptions],
            "settings": {
                "data_rate": {
                    "lora": {"bandwidth": 125_000, "spreading_factor": 7, "coding_rate": "4/5"}
                },
                "frequency": "868100000",
            },
            # Nanoseconds, which are to be cut: rounded, they would be another moment.
            "received_at": _time(sent.at).replace("Z", "999Z"),
            "consumed_airtime": "0.056576s",
        }
        ids = self._ids | {"dev_addr": sent.address.upper()}
        members: dict[str, Any] = {"uplink_message": without_zeros(message)}
        if not sent.old:
            members["received_at"] = _time(sent.at + timedelta(milliseconds=200))
        return self._message("up", members, ids)

    def joined(self, address: str) -> list[Message]:
        """Return what it says after the device has joined."""
        members = {"received_at": _now(), "join_accept": {"session_key_id": token_hex(8)}}
        return [self._message("join", members, self._ids | {"dev_addr": address.upper()})]

    def read_command(self, topic: str, payload: bytes) -> tuple[list[Downlink], bool]:
        """Return the downlinks that are pushed, and whether they replace the queue."""
        replace = topic.endswith("/replace")
        try:
            downlinks = [
                Downlink(
                    identity=(one.get("correlation_ids") or [token_hex(8)])[0],
                    f_port=int(one.get("f_port", 0)),
                    payload=base64.b64decode(one.get("frm_payload", ""), validate=True),
                    confirmed=bool(one.get("confirmed", False)),
                    correlation_ids=[str(name) for name in one.get("correlation_ids", [])],
                    priority=one.get("priority", "LOWEST"),
                )
                for one in json.loads(payload).get("downlinks", [])
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            return [], False
        return downlinks, replace

    def accepts(self, downlink: Downlink, queued: Mapping[str, Downlink]) -> bool:
        """Tell whether it goes into the queue; the same one twice is two."""
        del queued
        return downlink.f_port in _APPLICATION_PORTS and downlink.priority in _PRIORITIES

    def queued(self, downlink: Downlink) -> list[Message]:
        """Return what it says when a downlink is in the queue."""
        return [self._downlink("queued", downlink)]

    def failed(self, downlink: Downlink) -> list[Message]:
        """Return what it says of a downlink that it cannot take."""
        members = {
            "received_at": _now(),
            "correlation_ids": downlink.correlation_ids,
            "downlink_failed": {
                "downlink": _members(downlink),
                "error": {
                    "namespace": "pkg/applicationserver",
                    "name": "f_port",
                    "message_format": "invalid FPort or priority",
                },
            },
        }
        return [self._message("down/failed", members, self._ids)]

    def expired(self, downlink: Downlink) -> list[Message]:
        """Return what it says when a downlink's time is over: it knows no such time."""
        del downlink
        return []

    def sent(self, downlink: Downlink, gateway_id: str) -> list[Message]:
        """Return what it says when a gateway has transmitted the downlink."""
        del gateway_id
        return [self._downlink("sent", downlink)]

    def acknowledged(self, downlink: Downlink, *, heard: bool) -> list[Message]:
        """Return what it says when the device has acknowledged, or should have."""
        return [self._downlink("ack" if heard else "nack", downlink)]

    def tries_again(self) -> bool:
        """Tell whether a downlink that was not acknowledged is transmitted again."""
        return True

    def _downlink(self, kind: str, downlink: Downlink) -> Message:
        members = {
            "received_at": _now(),
            "correlation_ids": [*downlink.correlation_ids, f"as:downlink:{token_hex(8)}"],
            f"downlink_{kind}": _members(downlink),
        }
        return self._message(f"down/{kind}", members, self._ids)

    def _message(self, leaf: str, members: Mapping[str, Any], ids: Mapping[str, Any]) -> Message:
        document = {
            "end_device_ids": ids,
            "correlation_ids": [f"as:up:{token_hex(8)}"],
            **members,
        }
        return f"{self._topic}/{leaf}", json.dumps(document).encode()


def _members(downlink: Downlink) -> dict[str, Any]:
    return without_zeros(
        {
            "session_key_id": "AYgzBxz1rDtFbfMl4y+gPg==" if downlink.f_cnt >= 0 else "",
            "f_port": downlink.f_port,
            "f_cnt": max(0, downlink.f_cnt),
            "frm_payload": base64.b64encode(downlink.payload).decode(),
            "confirmed": downlink.confirmed,
            "priority": downlink.priority,
            "correlation_ids": downlink.correlation_ids,
        }
    )


def _reception(one: Reception, sent: Transmission) -> dict[str, Any]:
    return without_zeros(
        {
            "gateway_ids": {"gateway_id": f"gateway-{one.gateway_id}", "eui": one.gateway_id},
            "time": _time(sent.at - timedelta(milliseconds=80)),
            "timestamp": 3_893_546_133,
            "rssi": one.rssi_dbm,
            "channel_rssi": one.rssi_dbm,
            "snr": one.snr_db,
            "received_at": _time(sent.at - timedelta(milliseconds=40)),
        }
    )


def _now() -> str:
    return _time(datetime.now(UTC))


def _time(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
