"""Which of two receptions is the better one."""

_LOWEST = float("-inf")


def strength(snr_db: float | None, rssi_dbm: float | None) -> tuple[float, float]:
    """Return what receptions are compared by: signal to noise ratio, then signal strength.

    The ratio comes first because the strength says nothing below the noise, where LoRa works. One
    that says nothing is the worst.
    """
    return (
        _LOWEST if snr_db is None else snr_db,
        _LOWEST if rssi_dbm is None else rssi_dbm,
    )
