"""The registry of LoRaWAN devices, with a short memory."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from plumbline.errors import StoreUnavailable
from plumbline.ports import Clock, LorawanDevice, LorawanDevices

REMEMBERED_FOR = timedelta(seconds=30)
"""How long a change of the registry may take to be seen; a new device is seen at once."""

_PATIENCE = timedelta(seconds=5)
"""How long a registry that could not serve is left alone: asking may take long, too."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of some DevEUIs.

    Attributes:
        devices: The registered ones.
        unknown_yet: Those that nothing is known of while the registry cannot serve.
    """

    devices: Mapping[str, LorawanDevice]
    unknown_yet: frozenset[str]


class KnownDevices:
    """Asks the registry once for all that it does not remember.

    Args:
        registry: None where there is none; then no device is registered.
        clock: Wall-clock time; that it jumps costs a query.
    """

    def __init__(self, registry: LorawanDevices | None, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._remembered: dict[str, tuple[datetime, LorawanDevice]] = {}
        self._leave_alone_until = datetime.min.replace(tzinfo=clock.now().tzinfo)

    def find(self, dev_euis: Collection[str]) -> Found:
        """Return what is known of the devices; at most one query."""
        now = self._clock.now()
        known = {
            dev_eui: device
            for dev_eui in dev_euis
            if (device := self._remember(dev_eui, now)) is not None
        }
        wanted = set(dev_euis) - known.keys()
        if not wanted or self._registry is None:
            return Found(known, frozenset())
        if now < self._leave_alone_until <= now + _PATIENCE:
            return Found(known, frozenset(wanted))
        try:
            found = self._registry.find(wanted)
        except StoreUnavailable:
            self._leave_alone_until = self._clock.now() + _PATIENCE
            return Found(known, frozenset(wanted))
        self._forget(now)
        self._remembered.update({dev_eui: (now, device) for dev_eui, device in found.items()})
        return Found({**known, **found}, frozenset())

    def _remember(self, dev_eui: str, now: datetime) -> LorawanDevice | None:
        known = self._remembered.get(dev_eui)
        return None if known is None or not _is_fresh(known[0], now) else known[1]

    def _forget(self, now: datetime) -> None:
        self._remembered = {
            dev_eui: entry
            for dev_eui, entry in self._remembered.items()
            if _is_fresh(entry[0], now)
        }


def _is_fresh(found_at: datetime, now: datetime) -> bool:
    """Tell whether it may be relied upon; not where the clock was set back since."""
    return timedelta(0) <= now - found_at < REMEMBERED_FOR
