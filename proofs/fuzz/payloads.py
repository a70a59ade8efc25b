"""What is thrown at the product: good messages of every kind, damaged, and made up."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from plumbline.codecs.sensors.registry import models
from plumbline.domain.device import Lorawan, NetworkServer
from plumbline.domain.reading import format_time
from plumbline.ports import LorawanDevice
from proofs.fuzz.damage import (
    Document,
    any_json,
    damage_bytes,
    damage_document,
    document_of,
)

_VECTORS = Path(__file__).parents[2] / "tests/testcases/codecs"
_MADE_UP = 0.05
_UNDAMAGED = 0.1

DEVICE = "pier-3_North"
COMMAND_ID = "6f6d2f0e-4f83-4d7c-9b0e-2f6a52d0c1aa"
APPLICATION = "ca739e26-7b67-4f14-b69e-d568c22a5a75"
TENANT = "ttn"


@dataclass(frozen=True, slots=True)
class Seeds:
    """Good payloads of one kind, as bytes, and as documents where they are JSON."""

    raw: Sequence[bytes]
    documents: Sequence[Document] = ()

    def draw(self, rng: Random) -> bytes:
        """Return one of them, damaged in most cases, or something made up."""
        chance = rng.random()
        if chance < _UNDAMAGED:
            return rng.choice(self.raw)
        if chance < _UNDAMAGED + _MADE_UP:
            return _made_up(rng)
        if not self.documents or chance < 0.4:
            return damage_bytes(rng, rng.choice(self.raw), self.raw)
        text = damage_document(rng, rng.choice(self.documents), self.documents)
        payload = text.encode(errors="surrogatepass")
        return damage_bytes(rng, payload, self.raw) if chance > 0.95 else payload


def _made_up(rng: Random) -> bytes:
    match rng.randrange(8):
        case 0:
            return rng.randbytes(rng.choice((0, 1, 2, 8, 11, 64, 500)))
        case 1:
            return rng.choice((b" ", b"\xef\xbb\xbf{}", b"x", b"[" * 250)) * rng.choice((1, 4000))
        case 2:
            return any_json(rng).encode(rng.choice(("utf-16", "utf-32", "utf-8")))
        case _:
            return any_json(rng).encode()


def of_json(*documents: object) -> Seeds:
    """Return seeds of JSON values."""
    texts = [json.dumps(one, separators=(",", ":"), ensure_ascii=False) for one in documents]
    return Seeds([text.encode() for text in texts], [document_of(text) for text in texts])


def telemetry(now: datetime) -> Seeds:
    """Return readings, alone and in arrays."""
    seconds = int(now.timestamp())
    full = {
        "device_id": DEVICE,
        "timestamp": format_time(now),
        "tilt_angle": 15.5,
        "status": "normal",
        "battery_level": 85,
        "tilt_x": -0.1234,
        "tilt_y": 90,
        "tilt_z": 179.9999,
        "temperature": -12.25,
        "rssi": -87,
        "snr": 7.5,
        "sequence": 4711,
    }
    others = {
        "timestamp": seconds * 1000 + 250,
        "tilt_angle": -180,
        "status": "alarm",
        "firmware": "1.2.3",
        "vendor": {"axes": [1, 2.5, None, {"name": "x\u00e9"}], "ok": True},
    }
    least = {"timestamp": seconds, "tilt_angle": 0}
    old = {"timestamp": format_time(now - timedelta(days=89)), "tilt_angle": 1e-4}
    return of_json(full, others, least, old, [full, least], [least, others, old, full | others])


def answers(now: datetime) -> Mapping[str, Seeds]:
    """Return what devices and network servers say of commands, by topic."""
    at = format_time(now)
    eui = dev_eui_of(models()[0], NetworkServer.CHIRPSTACK)
    info = {"applicationId": APPLICATION, "devEui": eui}
    chirpstack = {"time": at, "deviceInfo": info, "queueItemId": COMMAND_ID, "fCntDown": 3}
    found = {
        f"tilt/{DEVICE}/commands/ack": of_json(
            {"command_id": COMMAND_ID, "status": "acknowledged", "detail": "done"},
            {"command_id": COMMAND_ID, "status": "failed", "detail": "no\nwater \u00e9"},
        ),
        f"application/{APPLICATION}/device/{eui}/event/txack": of_json(chirpstack),
        f"application/{APPLICATION}/device/{eui}/event/ack": of_json(
            chirpstack | {"acknowledged": True}, chirpstack
        ),
    }
    device = f"eui-{eui}"
    ids = {"device_id": device, "application_ids": {"application_id": "app"}}
    downlink = {"f_port": 85, "correlation_ids": ["as:1", f"plumbline:{COMMAND_ID}"]}
    for name in ("sent", "ack", "nack", "queued"):
        event = {"end_device_ids": ids, "received_at": at, f"downlink_{name}": downlink}
        found[f"v3/app@{TENANT}/devices/{device}/down/{name}"] = of_json(event)
    failed = {"downlink": downlink, "error": {"name": "f", "message_format": "too long"}}
    found[f"v3/app/devices/{device}/down/failed"] = of_json(
        {"end_device_ids": ids, "received_at": at, "downlink_failed": failed}
    )
    return found


@cache
def vectors(model: str) -> Sequence[tuple[int, bytes]]:
    """Return port and bytes of each known uplink of a sensor model."""
    cases: list[dict[str, Any]] = []
    for name in ("vendor_vectors.json", "frames.json"):
        cases += json.loads((_VECTORS / name).read_text("utf-8"))
    return [
        (case["f_port"], bytes.fromhex(case["bytes_hex"]))
        for case in cases
        if model in (case.get("device"), case.get("model"))
    ]


def frames(model: str) -> Callable[[Random], tuple[int, bytes]]:
    """Return what makes port and bytes of an uplink of the model, damaged in most cases."""
    good = vectors(model)
    seeds = Seeds([frame for _, frame in good])
    ports = sorted({f_port for f_port, _ in good})

    def draw(rng: Random) -> tuple[int, bytes]:
        f_port = rng.choice(ports) if rng.random() < 0.95 else rng.randrange(256)
        return f_port, seeds.draw(rng)

    return draw


def dev_eui_of(model: str, server: NetworkServer) -> str:
    """Return the DevEUI of the one device of that model at that server."""
    return f"{10 + list(NetworkServer).index(server)}{models().index(model):014x}"


@cache
def registry() -> Mapping[str, LorawanDevice]:
    """Return a device of each model at each network server, by DevEUI; some are disabled."""
    found = {}
    for model in models():
        chirpstack = Lorawan(
            dev_eui=dev_eui_of(model, NetworkServer.CHIRPSTACK),
            network_server=NetworkServer.CHIRPSTACK,
            application=APPLICATION,
            sensor_model=model,
        )
        eui = dev_eui_of(model, NetworkServer.THINGS_STACK)
        things_stack = replace(
            chirpstack,
            dev_eui=eui,
            network_server=NetworkServer.THINGS_STACK,
            application="app",
            tenant=TENANT,
            network_device_id=f"eui-{eui}",
        )
        for number, lorawan in enumerate((chirpstack, things_stack)):
            disabled = model == "elsys-ems-desk"
            found[lorawan.dev_eui] = LorawanDevice(f"{model}-{number}", lorawan, disabled)
    return found


def uplinks(now: datetime, server: NetworkServer) -> Callable[[Random], tuple[str, bytes]]:
    """Return what makes topic and payload of an uplink event, damaged in most cases."""
    make = chirpstack if server is NetworkServer.CHIRPSTACK else things_stack
    each = {
        model: [make(now, model, f_cnt, *vector) for f_cnt, vector in enumerate(vectors(model))]
        for model in models()
    }
    seeds = {model: of_json(*(event for _, event in events)) for model, events in each.items()}
    frames_of = {model: frames(model) for model in each}

    def draw(rng: Random) -> tuple[str, bytes]:
        model = rng.choice(models())
        topic, event = each[model][0]
        if rng.random() < 0.3:  # a good envelope around a damaged frame
            f_port, frame = frames_of[model](rng)
            _, event = make(now, model, rng.randrange(2**32), f_port, frame)
            payload = json.dumps(event).encode()
        else:
            payload = seeds[model].draw(rng)
        if rng.random() < 0.02:
            topic = damage_topic(rng, topic)
        return topic, payload

    return draw


def chirpstack(
    now: datetime, model: str, f_cnt: int, f_port: int, frame: bytes
) -> tuple[str, dict[str, Any]]:
    """Return topic and event of an uplink at ChirpStack."""
    eui = dev_eui_of(model, NetworkServer.CHIRPSTACK)
    gateway = {"gatewayId": "0016c001f153a14c", "rssi": -48, "snr": 9.5, "nsTime": format_time(now)}
    event = {
        "deduplicationId": "57433366-50a6-4dc2-8145-2df1bbc70d9e",
        "time": format_time(now),
        "deviceInfo": {"applicationId": APPLICATION, "deviceName": "pier", "devEui": eui},
        "devAddr": "20000001",
        "fCnt": f_cnt,
        "fPort": f_port,
        "data": base64.b64encode(frame).decode(),
        "rxInfo": [gateway, gateway | {"gatewayId": "roof", "rssi": -100.5}],
        "txInfo": {"modulation": {"lora": {"spreadingFactor": 7}}},
    }
    return f"application/{APPLICATION}/device/{eui}/event/up", event


def things_stack(
    now: datetime, model: str, f_cnt: int, f_port: int, frame: bytes
) -> tuple[str, dict[str, Any]]:
    """Return topic and event of an uplink at The Things Stack."""
    eui = dev_eui_of(model, NetworkServer.THINGS_STACK)
    ids = {"application_id": "app"}
    gateway: dict[str, Any] = {
        "gateway_ids": {"gateway_id": "roof"},
        "rssi": -35,
        "snr": 5.2,
        "channel_rssi": -35,
    }
    event: dict[str, Any] = {
        "end_device_ids": {
            "device_id": f"eui-{eui}",
            "application_ids": ids,
            "dev_eui": eui.upper(),
            "dev_addr": "20000001",
        },
        "received_at": format_time(now),
        "uplink_message": {
            "f_port": f_port,
            "f_cnt": f_cnt,
            "frm_payload": base64.b64encode(frame).decode(),
            "rx_metadata": [gateway],
            "settings": {"data_rate": {"lora": {"spreading_factor": 7}}},
            "received_at": format_time(now),
        },
    }
    if f_cnt % 3 == 2:  # only the gateway has a time
        del event["received_at"], event["uplink_message"]["received_at"]
        gateway["received_at"] = format_time(now)
    return f"v3/app@{TENANT}/devices/eui-{eui}/up", event


def damage_topic(rng: Random, topic: str) -> str:
    """Return another topic that MQTT allows to publish on."""
    if rng.random() < 0.1:
        at = rng.randrange(len(topic))
        return topic[:at] + rng.choice(("x" * 120, "\u00e9" * 20_000, "\uffff")) + topic[at:]
    damaged = damage_bytes(rng, topic.encode(), [b"tilt/a/telemetry", b"v3/a@b/devices/c/up"])
    forbidden = dict.fromkeys(map(ord, "\0+#$"), "x")
    return damaged.decode(errors="replace").translate(forbidden)[:500] or "x"
