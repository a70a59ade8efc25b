"""The AWS API on this machine: moto's server, and what it lacks for this deployment.

Runs in an environment of its own (``requirements/aws-emulator.txt``), from the directory `tests`:

    python -m infra.aws_emulator PORT
"""

import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from waitress import serve

from infra.aws_emulator import caches, patches


def main(port: int) -> None:
    """Serve until killed."""
    for patch in (*patches.PATCHES, *caches.PATCHES):
        patch()
    # Moto's own server loses answers under Terraform's load.
    serve(
        DomainDispatcherApplication(create_backend_app),
        host="127.0.0.1",
        port=port,
        threads=32,
        max_request_body_size=1 << 28,
        clear_untrusted_proxy_headers=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
