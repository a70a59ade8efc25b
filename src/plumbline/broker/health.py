"""The container's health check: `python -m plumbline.broker.health`.

The task's own connection as plumbline-monitor hears from the broker every five seconds, and notes
that in a file: who finds the note fresh knows that a client can sign in and gets messages. Another
connection by the same user would end that one.
"""

import os
import sys
import time
from pathlib import Path

HEALTH_FILE = "healthy"
FRESH_S = 30.0
DEFAULT_RUN_DIR = "/run/plumbline"


def main() -> int:
    """Return 0 where the note is fresh, else 1."""
    path = Path(os.environ.get("BROKER_RUN_DIR") or DEFAULT_RUN_DIR) / HEALTH_FILE
    try:
        age_s = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 1
    return 0 if age_s < FRESH_S else 1


if __name__ == "__main__":
    sys.exit(main())
