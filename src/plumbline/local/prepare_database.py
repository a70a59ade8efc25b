"""Makes the database ready: `python -m plumbline.local.prepare_database`. Settings: DATABASE_URL.

A process of its own: the migration tool is larger than all that runs afterwards.
"""

import os
import sys

from plumbline import bootstrap
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.migrate import migrate
from plumbline.adapters.postgres.queue import declare_queues
from plumbline.errors import PlumblineError, QueueUnavailable
from plumbline.topology import TOPOLOGY


def prepare_database(database_url: str) -> None:
    """Apply pending revisions, declare the queues, create partitions; safe to repeat.

    Raises:
        TransientError: The database cannot be reached.
        ConfigurationError: Its schema is of a newer version.
    """
    migrate(database_url)
    database = Database(database_url, QueueUnavailable)
    declare_queues(database, TOPOLOGY.queues)
    database.close()
    bootstrap.retention(database_url).run()


def main() -> int:
    """Prepare the database; return 0, or 1 with the reason on standard error."""
    try:
        prepare_database(os.environ["DATABASE_URL"])
    except PlumblineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
