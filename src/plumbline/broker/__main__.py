"""The image's entry point: `python -m plumbline.broker`."""

import signal
import sys
import threading

from plumbline import bootstrap
from plumbline.broker.task import BrokerTask
from plumbline.errors import EXIT_CODES, PlumblineError, of_type
from plumbline.settings import BrokerTaskSettings, load


def main() -> int:
    """Run one task until SIGTERM; return its exit status."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = load(BrokerTaskSettings)
        devices = bootstrap.shared_credentials(settings.broker_passwords)
        return BrokerTask(settings, devices, stop.wait).run()
    except PlumblineError as error:
        sys.stderr.write(f"{error}\n")
        return of_type(EXIT_CODES, error)


if __name__ == "__main__":
    sys.exit(main())
