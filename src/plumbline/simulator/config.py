"""The options of a simulation."""

import ssl
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from plumbline.domain.device import Lorawan, NetworkServer
from plumbline.errors import ConfigurationError
from plumbline.simulator.faults import Faults
from plumbline.simulator.lorawan.sensors import BY_NAME
from plumbline.simulator.scenarios import SCENARIO_NAMES

_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
_SHORTEST_INTERVAL_S = 0.002  # a whole millisecond, and one between for a malformed message


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the broker listens; ``tls`` is None on a plain listener.

    Attributes:
        keep_alive_s: What a connection promises: to be heard of that often.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    keep_alive_s: int = 60


@dataclass(frozen=True, slots=True)
class LorawanPart:
    """The LoRaWAN devices of a simulation.

    Attributes:
        devices: As registered, by id; the order is the fleet's, behind the MQTT devices.
        users: User name and password of each network server that has devices.
    """

    devices: Mapping[str, Lorawan] = field(default_factory=dict)
    users: Mapping[NetworkServer, tuple[str, str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for device_id, entry in self.devices.items():
            if entry.network_server not in self.users:
                _refuse("lorawan", f"no user for {entry.network_server}")
            if entry.sensor_model not in BY_NAME:
                _refuse("lorawan", f"{device_id}: no frames of {entry.sensor_model}")


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """What to simulate; how many devices is how many credentials and LoRaWAN devices there are.

    Attributes:
        url: Broker, ``mqtt://host:port`` or ``mqtts://host:port``.
        scenario: One of `SCENARIO_NAMES`.
        seed: Fixes every device's truth and every fault.
        interval_s: Between two readings of a device, seconds; whole milliseconds.
        count: Readings of all devices together, without duplicates and malformed ones; or None.
        duration_s: How long to go on, seconds; with neither, until stopped.
        at_once: Publish as fast as possible: the last ``count`` readings before now.
        faults: Fractions of the readings.
        epoch: The moment around which the scenarios' events happen; the start where None.
        ca_file: PEM file of the authority that signed the broker's certificate.
        connect_timeout_s: How long the first connection of each device may take, seconds.
        keep_alive_s: MQTT keep alive of each connection, seconds.

    Raises:
        ConfigurationError: One of them is out of its range, or they contradict each other.
    """

    url: str
    scenario: str = "mixed"
    seed: int = 1
    interval_s: float = 5.0
    count: int | None = None
    duration_s: float | None = None
    at_once: bool = False
    faults: Faults = field(default_factory=Faults)
    epoch: datetime | None = None
    ca_file: str | None = None
    connect_timeout_s: float = 30.0
    keep_alive_s: int = 60

    def __post_init__(self) -> None:
        if self.scenario not in SCENARIO_NAMES:
            _refuse("scenario", "one of " + ", ".join(SCENARIO_NAMES))
        if self.interval_s < _SHORTEST_INTERVAL_S:
            _refuse("interval", f"at least {_SHORTEST_INTERVAL_S} s")
        if self.count is not None and self.count < 1:
            _refuse("count", "at least 1")
        if self.duration_s is not None and self.duration_s <= 0:
            _refuse("duration", "more than 0 s")
        if self.at_once and self.count is None:
            _refuse("at_once", "needs a count")
        if self.at_once and self.duration_s is not None:
            _refuse("at_once", "excludes a duration")
        if self.keep_alive_s < 1:
            _refuse("keep_alive", "at least 1 s")
        if self.epoch is not None and self.epoch.tzinfo is None:
            _refuse("epoch", "needs an offset")
        if urlsplit(self.url).scheme not in _DEFAULT_PORTS or not urlsplit(self.url).hostname:
            _refuse("url", "mqtt://host:port or mqtts://host:port")

    def endpoint(self) -> Endpoint:
        """Return where and how to connect.

        Raises:
            ConfigurationError: The authority's file cannot be read.
        """
        url = urlsplit(self.url)
        tls = None
        if url.scheme == "mqtts":
            try:
                tls = ssl.create_default_context(cafile=self.ca_file)
            except OSError as error:  # ssl.SSLError is one
                msg = f"ca_file: {self.ca_file}: {error}"
                raise ConfigurationError(msg) from error
        port = url.port or _DEFAULT_PORTS[url.scheme]
        return Endpoint(url.hostname or "", port, tls, self.keep_alive_s)

    def parameters(self) -> dict[str, Any]:
        """Return the options that the truth file states, as JSON values."""
        names = ("interval_s", "count", "duration_s", "at_once")
        return {name: getattr(self, name) for name in names} | {"faults": asdict(self.faults)}


def _refuse(setting: str, rule: str) -> None:
    msg = f"{setting}: {rule}"
    raise ConfigurationError(msg)
