"""Serves the portal: `python -m plumbline.portal`."""

from pathlib import Path

from granian import Granian
from granian.constants import Interfaces, Loops, SSLProtocols

from plumbline.errors import ConfigurationError
from plumbline.settings import PortalServerSettings, load

# How long a stop waits for answers under way; then the process is ended.
_STOP_S = 5


def main() -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: A certificate without its key, or the other way round.
    """
    settings = load(PortalServerSettings)
    certificate, key = settings.portal_certificate_file, settings.portal_key_file
    if (certificate is None) != (key is None):
        msg = "PORTAL_CERTIFICATE_FILE and PORTAL_KEY_FILE must be set together"
        raise ConfigurationError(msg)
    Granian(
        "plumbline.portal.app:create_app",
        address=settings.portal_host,
        port=settings.portal_port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        factory=True,
        workers=settings.portal_workers,
        workers_kill_timeout=_STOP_S,
        respawn_failed_workers=True,
        backlog=2048,
        websockets=False,
        log_access=False,
        ssl_cert=None if certificate is None else Path(certificate),
        ssl_key=None if key is None else Path(key),
        ssl_protocol_min=SSLProtocols.tls12,
    ).serve()


if __name__ == "__main__":
    main()
