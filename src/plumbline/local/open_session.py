"""Opens the ingest session once at each broker task: `python -m plumbline.local.open_session`.

The broker keeps a session's messages only from when it knows the session, so that this comes
before the first device. Settings: BROKER_ENDPOINT, MQTT_TOPIC.
"""

import os
import sys

from plumbline import bootstrap
from plumbline.errors import PlumblineError
from plumbline.settings import DEFAULT_TOPICS


def main() -> int:
    """Open and close the session; return 0, or 1 with the reason on standard error."""
    try:
        topics = os.environ.get("MQTT_TOPIC", DEFAULT_TOPICS)
        broker = bootstrap.ingest_broker(os.environ["BROKER_ENDPOINT"], topics)
        for address in broker.addresses():
            with broker.open(address):
                pass
    except PlumblineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
