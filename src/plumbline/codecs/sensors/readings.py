"""From a sample and its uplink to readings, or to an event of the device."""

from datetime import datetime
from typing import Any

from plumbline.codecs.sensors.sample import Sample
from plumbline.codecs.uplink import Uplink
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import MAX_AGE, MAX_AHEAD, Reading, format_time
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

_OWN_PLACE = frozenset(
    {
        "tilt_x_deg",
        "tilt_y_deg",
        "tilt_z_deg",
        "roll_deg",
        "pitch_deg",
        "temperature_c",
        "battery_pct",
    }
)
"""Fields that have a place in the reading; the others go to ``extra``."""


def to_readings(
    sample: Sample, uplink: Uplink, device_id: str, *, received_at: datetime
) -> list[Reading | DeviceEvent | InvalidPayload]:
    """Return one entry a measurement of the sample, in the order of the frame.

    A sample without records is one measurement at the uplink's time. One with records is one
    measurement for each, at the device's own time, without the signal and the frame counter,
    which belong to the uplink. What has no field in a reading is kept under ``sensor`` in
    ``extra``, beside ``sensor_model`` and ``f_port``. A measurement without an angle is an event.

    Args:
        received_at: Our clock; a time more than MAX_AGE behind or MAX_AHEAD ahead of it is
            refused, as for every reading.
    Returns:
        Each entry the reading or event, or why it is none: TIMESTAMP_TOO_OLD,
        TIMESTAMP_IN_FUTURE. Never empty.
    """
    if sample.records:
        return [_entry(record, uplink, device_id, received_at) for record in sample.records]
    return [_entry(sample, uplink, device_id, received_at)]


def _entry(
    sample: Sample, uplink: Uplink, device_id: str, received_at: datetime
) -> Reading | DeviceEvent | InvalidPayload:
    observed_at = sample.observed_at or uplink.observed_at
    if observed_at < received_at - MAX_AGE:
        return InvalidPayload(Reason.TIMESTAMP_TOO_OLD, format_time(observed_at))
    if observed_at > received_at + MAX_AHEAD:
        return InvalidPayload(Reason.TIMESTAMP_IN_FUTURE, format_time(observed_at))
    live = sample.observed_at is None
    if sample.tilt_angle_deg is None:
        return DeviceEvent(
            device_id,
            observed_at,
            sample.no_tilt or "no angle",
            status=sample.status,
            fields=_extra(sample, uplink, dict(sample.fields)),
            rssi_dbm=uplink.rssi_dbm if live else None,
            snr_db=uplink.snr_db if live else None,
            sequence=uplink.f_cnt if live else None,
        )
    others = {name: value for name, value in sample.fields.items() if name not in _OWN_PLACE}
    return Reading(
        device_id=device_id,
        observed_at=observed_at,
        tilt_angle_deg=float(sample.tilt_angle_deg),
        status=sample.status,
        battery_level_pct=sample.battery_level_pct,
        tilt_x_deg=sample.tilt_x_deg,
        tilt_y_deg=sample.tilt_y_deg,
        tilt_z_deg=sample.tilt_z_deg,
        temperature_c=sample.temperature_c,
        rssi_dbm=uplink.rssi_dbm if live else None,
        snr_db=uplink.snr_db if live else None,
        sequence=uplink.f_cnt if live else None,
        extra=_extra(sample, uplink, others),
    )


def _extra(sample: Sample, uplink: Uplink, fields: dict[str, Any]) -> dict[str, Any]:
    extra: dict[str, Any] = {"sensor_model": sample.model, "f_port": uplink.f_port}
    return extra | ({"sensor": fields} if fields else {})
