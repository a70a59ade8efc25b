"""What a LoRaWAN network server connects to this machine's broker with."""

from dataclasses import dataclass, field
from pathlib import Path

from plumbline.adapters.mqtt.configuration import NETWORK_SERVER_USERS
from plumbline.domain.device import NetworkServer
from plumbline.errors import ConfigurationError
from plumbline.local.device_credentials import devices_of
from plumbline.local.endpoints import Endpoints
from plumbline.local.servers.mosquitto import renew_service_password, service_password


@dataclass(frozen=True, slots=True)
class Access:
    """User, password and addresses; the CA is that of ``mqtts_url``."""

    username: str
    password: str = field(repr=False)
    mqtt_url: str
    mqtts_url: str
    ca_file: str


def users(data_dir: Path) -> dict[NetworkServer, tuple[str, str]]:
    """Return user name and password of each network server."""
    return {
        server: (user, service_password(data_dir, user))
        for server, user in NETWORK_SERVER_USERS.items()
    }


def show(data_dir: Path, endpoints: Endpoints, server: NetworkServer) -> Access:
    """Return what that network server connects with.

    Raises:
        ConfigurationError: The broker is somebody else's.
    """
    if not (data_dir / "mosquitto").exists():
        msg = f"the broker {endpoints.mqtt_url} is not this system's: it has its own users"
        raise ConfigurationError(msg)
    user = NETWORK_SERVER_USERS[server]
    return Access(
        username=user,
        password=service_password(data_dir, user),
        mqtt_url=endpoints.mqtt_url,
        mqtts_url=endpoints.mqtts_url,
        ca_file=str((data_dir / "tls" / "ca.pem").absolute()),
    )


def rotate(data_dir: Path, endpoints: Endpoints, server: NetworkServer) -> Access:
    """Give the network server a new password; a connection with the old one ends.

    Raises:
        ConfigurationError: The broker is somebody else's.
        StoreUnavailable: Only the registry of devices knows the other passwords; run again.
    """
    show(data_dir, endpoints, server)
    renew_service_password(data_dir, NETWORK_SERVER_USERS[server])
    devices_of(data_dir, endpoints.database_url).publish()
    return show(data_dir, endpoints, server)
