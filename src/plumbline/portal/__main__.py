"""Serves the portal: `python -m plumbline.portal`."""

from granian import Granian
from granian.constants import Interfaces

from plumbline.settings import PortalServerSettings, load


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = load(PortalServerSettings)
    Granian(
        "plumbline.portal.app:create_app",
        address=settings.portal_host,
        port=settings.portal_port,
        interface=Interfaces.ASGI,
        factory=True,
        workers=1,
        websockets=False,
        log_access=False,
    ).serve()


if __name__ == "__main__":
    main()
