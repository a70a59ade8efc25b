"""Serves the portal: `python -m plumbline.portal`."""

import sys
from pathlib import Path

from granian import Granian
from granian.constants import Interfaces, Loops, SSLProtocols

from plumbline.adapters.redis_multiplexed import MultiplexedRedis
from plumbline.errors import ConfigurationError
from plumbline.portal.logs import JsonLines
from plumbline.settings import PortalServerSettings, PortalSettings, load

# How long a stop waits for answers under way; then the process is ended.
_STOP_S = 5


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 where a setting is missing or wrong."""
    try:
        settings = load(PortalServerSettings)
        _check_certificate(settings)
        _check_settings_of_workers()
    except ConfigurationError as error:
        sys.stderr.write(f"plumbline.portal: {error}\n")
        return 2
    serve("plumbline.portal.app:create_app", settings)
    return 0


def serve(factory: str, settings: PortalServerSettings) -> None:
    """Serve the application that ``module:function`` makes, until SIGTERM or SIGINT."""
    certificate, key = settings.portal_certificate_file, settings.portal_key_file
    Granian(
        factory,
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
        log_dictconfig={"formatters": {"generic": {"()": JsonLines}, "access": {"()": JsonLines}}},
        ssl_cert=None if certificate is None else Path(certificate),
        ssl_key=None if key is None else Path(key),
        ssl_protocol_min=SSLProtocols.tls12,
    ).serve()


def _check_certificate(settings: PortalServerSettings) -> None:
    if (settings.portal_certificate_file is None) != (settings.portal_key_file is None):
        msg = "PORTAL_CERTIFICATE_FILE and PORTAL_KEY_FILE must be set together"
        raise ConfigurationError(msg)


def _check_settings_of_workers() -> None:
    """Read what workers read: they would only fail, one after the other, for ever."""
    MultiplexedRedis(load(PortalSettings).redis_url.reveal())


if __name__ == "__main__":
    sys.exit(main())
