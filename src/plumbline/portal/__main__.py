"""Serves the portal: `python -m plumbline.portal`."""

from granian import Granian
from granian.constants import Interfaces, Loops

from plumbline.settings import PortalServerSettings, load

# How long a stop waits for answers under way; then the process is ended.
_STOP_S = 5


def serve(factory: str) -> None:
    """Serve the application that ``module:function`` makes, until SIGTERM or SIGINT."""
    settings = load(PortalServerSettings)
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
    ).serve()


if __name__ == "__main__":
    serve("plumbline.portal.app:create_app")
