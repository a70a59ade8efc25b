"""Adds the demonstration's admin: `python -m plumbline.local.prepare_portal`.

Settings: DATABASE_URL, DEMO_USERNAME, DEMO_PASSWORD.
"""

import os
import sys

from plumbline import bootstrap
from plumbline.domain.account import Role
from plumbline.errors import PlumblineError


def main() -> int:
    """Add the user, or give it its password again; return 0, or 1 with the reason on stderr."""
    try:
        accounts = bootstrap.accounts(os.environ["DATABASE_URL"], None, "plumbline up")
        accounts.ensure(os.environ["DEMO_USERNAME"], os.environ["DEMO_PASSWORD"], Role.ADMIN)
    except PlumblineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
