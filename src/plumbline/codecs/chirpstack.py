"""Uplink events of ChirpStack v4: ``application/{id}/device/{dev_eui}/event/up``.

Source: chirpstack/chirpstack, api/proto/integration/integration.proto and api/proto/gw/gw.proto,
as protobuf's JSON: names in camel case, fields of value 0 left out.
"""

from datetime import datetime
from typing import Any

from plumbline.codecs.event_json import (
    counter,
    data,
    eui,
    has_path,
    member,
    members,
    moment,
    number,
    parse_event,
    text,
)
from plumbline.codecs.uplink import (
    MAX_F_CNT,
    MAX_F_PORT,
    Reception,
    Uplink,
    best_reception,
    identify,
)
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

_TIMES_OF_A_GATEWAY = ("nsTime", "gwTime", "time")


def decode_uplink(payload: bytes) -> Uplink:
    """Decode one uplink event.

    ``observed_at`` is the first that the event has of: ``time`` (the server's choice: a gateway
    with a satellite receiver, else the server's clock), then of any gateway ``nsTime`` (server's
    clock), ``gwTime`` (the gateway's), ``time`` (the gateway's, before 4.3).

    Raises:
        InvalidPayload: Not the JSON of an uplink, without a DevEUI, or without any time.
    """
    event = parse_event(payload)
    device = member(event, "deviceInfo")
    dev_eui = eui(device, "devEui")
    f_port = counter(event, "fPort", MAX_F_PORT)
    f_cnt = counter(event, "fCnt", MAX_F_CNT)
    frame = data(event, "data")
    gateways = members(event, "rxInfo")
    has_snr = has_path(event, "txInfo", "modulation", "lora")
    best = best_reception([_reception(gateway, has_snr=has_snr) for gateway in gateways])
    return Uplink(
        dev_eui=dev_eui,
        application=text(device, "applicationId"),
        device_name=text(device, "deviceName"),
        f_port=f_port,
        f_cnt=f_cnt,
        payload=frame,
        observed_at=_observed_at(event, gateways),
        gateway_id=best.gateway_id,
        rssi_dbm=best.rssi_dbm,
        snr_db=best.snr_db,
        deduplication_id=identify(dev_eui, text(event, "devAddr"), f_cnt, f_port, frame),
    )


def _observed_at(event: dict[str, Any], gateways: list[dict[str, Any]]) -> datetime:
    own = moment(event, "time")
    if own is not None:
        return own
    for name in _TIMES_OF_A_GATEWAY:
        times = [time for gateway in gateways if (time := moment(gateway, name)) is not None]
        if times:
            return min(times)
    raise InvalidPayload(Reason.MISSING_FIELD, "time")


def _reception(gateway: dict[str, Any], *, has_snr: bool) -> Reception:
    rssi_dbm, snr_db = number(gateway, "rssi"), number(gateway, "snr")
    if snr_db is None and rssi_dbm is not None and has_snr:
        snr_db = 0.0
    return Reception(text(gateway, "gatewayId"), rssi_dbm, snr_db)
