"""Serves the portal: `python -m plumbline.portal`."""

from granian import Granian
from granian.constants import Interfaces, Loops

from plumbline.settings import PortalServerSettings, load

# How long a stop waits for answers under way; then the process is ended.
_STOP_S = 5


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = load(PortalServerSettings)
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
    ).serve()


if __name__ == "__main__":
    main()
