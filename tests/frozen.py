"""A server that hangs: it accepts connections and answers nothing."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from plumbline.local.servers.process import ManagedProcess


@contextmanager
def frozen(server: ManagedProcess) -> Iterator[None]:
    """Stop all processes of a server where they are, and let them go on at the end."""
    assert server.pid is not None
    main = psutil.Process(server.pid)
    # The main one first, so that it starts no others meanwhile.
    main.suspend()
    processes = [main, *main.children(recursive=True)]
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it was ending
            process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()
