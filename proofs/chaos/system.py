"""`plumbline up`, whose parts reach each other through proxies; a program of its own.

    python -m proofs.chaos.system PROXIES ARGUMENT…

PROXIES is JSON: the proxy's port by server. Nothing else is changed.
"""

import json
import re
import sys
from collections.abc import Mapping
from unittest.mock import patch

from plumbline.cli.main import run
from plumbline.local import up
from plumbline.local.servers.mosquitto import MosquittoServer
from plumbline.local.servers.postgres import PostgresServer
from plumbline.local.servers.redis import RedisServer


def main(arguments: list[str]) -> int:
    """Run the command line with the servers' URLs changed."""
    ports: Mapping[str, int] = json.loads(arguments[0])

    class Postgres(PostgresServer):
        """Reached through a proxy."""

        @property
        def url(self) -> str:
            return _at(super().url, ports["postgres"])

    class Redis(RedisServer):
        """Reached through a proxy."""

        @property
        def url(self) -> str:
            return _at(super().url, ports["redis"])

    class Mosquitto(MosquittoServer):
        """Reached by the workers through a proxy."""

        def user_url(self, user: str) -> str:
            return _at(super().user_url(user), ports["mosquitto"])

    with (
        patch.object(up, "PostgresServer", Postgres),
        patch.object(up, "RedisServer", Redis),
        patch.object(up, "MosquittoServer", Mosquitto),
    ):
        return run(arguments[1:])


def _at(url: str, port: int) -> str:
    return re.sub(r":\d+(/|$)", rf":{port}\1", url)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
