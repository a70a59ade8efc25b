"""What can go wrong between the device's memory and the broker, as fractions of the readings."""

from dataclasses import dataclass, fields

from plumbline.errors import ConfigurationError

DUPLICATE = "duplicate"
LATE = "late"
OUT_OF_ORDER = "out_of_order"
MALFORMED_FAULT = "malformed"
DISCONNECT = "disconnect"

LATE_READINGS = (10, 60)
"""A late reading is published when this many later ones were made (or at the end)."""

OUT_OF_ORDER_READINGS = (1, 3)
"""A reading out of order is published when this many later ones were made (or at the end)."""

DUPLICATE_READINGS = (0, 5)
"""A duplicate is published when this many later readings were made (or at the end)."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Fractions, 0 to 1, of the readings of every device unless said otherwise.

    Attributes:
        duplicates: Published a second time, byte for byte, soon after.
        late: Held back until 10 to 60 later ones were made.
        out_of_order: Held back until 1 to 3 later ones were made.
        malformed: Followed by a message that must be refused.
        disconnects: Followed by the loss of the connection without a goodbye; what is then
            unacknowledged is sent again.
        lost_downlinks: Of what a network server transmits, not heard by the LoRaWAN device.
    """

    duplicates: float = 0.0
    late: float = 0.0
    out_of_order: float = 0.0
    malformed: float = 0.0
    disconnects: float = 0.0
    lost_downlinks: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0.0 <= getattr(self, field.name) <= 1.0:
                msg = f"{field.name}: a fraction from 0 to 1"
                raise ConfigurationError(msg)
