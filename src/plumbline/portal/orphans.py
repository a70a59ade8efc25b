"""Ends a worker of the portal when the server that started it has died.

Otherwise it would go on answering at the portal's address, beside those of the next server and with
the settings of the old one, and nobody would stop it.
"""

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def end_with_server() -> None:
    """End this process at once when its server has died; nothing where it is no worker."""
    server = multiprocessing.parent_process()
    if server is not None:
        threading.Thread(
            target=_end_after, args=(server.sentinel,), name="end-with-server", daemon=True
        ).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
