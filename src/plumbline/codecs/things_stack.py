"""Uplink events of The Things Stack v3: ``v3/{app}@{tenant}/devices/{dev}/up``.

Source: thethingsindustries.com/docs/integrations/data-formats; fields that are empty, 0 or false
are left out.
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

_TIMES_OF_A_GATEWAY = ("received_at", "gps_time", "time")


def decode_uplink(payload: bytes) -> Uplink:
    """Decode one uplink event.

    ``observed_at`` is the first that the event has of: ``uplink_message.received_at`` (Network
    Server), ``received_at`` (Application Server, a little later), then of any gateway
    ``received_at`` (server's clock), ``gps_time``, ``time`` (the gateway's clock, which may never
    have been set).

    Raises:
        InvalidPayload: Not the JSON of an uplink, without a DevEUI, or without any time.
    """
    event = parse_event(payload)
    device = member(event, "end_device_ids")
    dev_eui = eui(device, "dev_eui")
    message = member(event, "uplink_message")
    if not message:
        raise InvalidPayload(Reason.MISSING_FIELD, "uplink_message")
    f_port = counter(message, "f_port", MAX_F_PORT)
    f_cnt = counter(message, "f_cnt", MAX_F_CNT)
    frame = data(message, "frm_payload")
    gateways = members(message, "rx_metadata")
    has_snr = has_path(message, "settings", "data_rate", "lora")
    best = best_reception([_reception(gateway, has_snr=has_snr) for gateway in gateways])
    return Uplink(
        dev_eui=dev_eui,
        application=text(member(device, "application_ids"), "application_id"),
        device_name=text(device, "device_id"),
        f_port=f_port,
        f_cnt=f_cnt,
        payload=frame,
        observed_at=_observed_at(event, message, gateways),
        gateway_id=best.gateway_id,
        rssi_dbm=best.rssi_dbm,
        snr_db=best.snr_db,
        deduplication_id=identify(dev_eui, text(device, "dev_addr"), f_cnt, f_port, frame),
    )


def _observed_at(
    event: dict[str, Any], message: dict[str, Any], gateways: list[dict[str, Any]]
) -> datetime:
    own = moment(message, "received_at") or moment(event, "received_at")
    if own is not None:
        return own
    for name in _TIMES_OF_A_GATEWAY:
        times = [time for gateway in gateways if (time := moment(gateway, name)) is not None]
        if times:
            return min(times)
    raise InvalidPayload(Reason.MISSING_FIELD, "received_at")


def _reception(gateway: dict[str, Any], *, has_snr: bool) -> Reception:
    rssi_dbm, snr_db = number(gateway, "rssi"), number(gateway, "snr")
    if rssi_dbm is None:
        rssi_dbm = number(gateway, "channel_rssi")
    if snr_db is None and rssi_dbm is not None and has_snr:
        snr_db = 0.0
    return Reception(text(member(gateway, "gateway_ids"), "gateway_id"), rssi_dbm, snr_db)
