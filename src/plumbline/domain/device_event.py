"""What a device says that is no reading."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from plumbline.domain.reading import Status


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """A good frame that by its nature holds no angle: start-up, status, settings, an answer.

    Attributes:
        device_id: Whose.
        observed_at: When it was sent, aware UTC, whole microseconds.
        detail: What it is, for people.
        status: The device's own judgement.
        fields: All that it says (JSON values).
        rssi_dbm: Received signal strength, dBm, or None.
        snr_db: Signal to noise ratio, dB, or None.
        sequence: The frame counter, or None.
    """

    device_id: str
    observed_at: datetime
    detail: str
    status: Status = Status.NORMAL
    fields: dict[str, Any] = field(default_factory=dict)
    rssi_dbm: float | None = None
    snr_db: float | None = None
    sequence: int | None = None
