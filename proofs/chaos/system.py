"""`plumbline up`, whose parts reach each other through proxies; a program of its own.

    python -m proofs.chaos.system CHANGES ARGUMENT…

CHANGES is JSON: ``ports``, the proxy's port by server; ``environment``, what the system's own
processes get beside theirs. Nothing else is changed.
"""

import json
import re
import sys
from typing import Any
from unittest.mock import patch

from plumbline.cli.main import run
from plumbline.local import up
from plumbline.local.servers.mosquitto import MosquittoServer
from plumbline.local.servers.postgres import PostgresServer
from plumbline.local.servers.process import ProcessSpec
from plumbline.local.servers.redis import RedisServer


def main(arguments: list[str]) -> int:
    """Run the command line with the servers' URLs and the processes' environment changed."""
    changes: dict[str, Any] = json.loads(arguments[0])
    ports: dict[str, int] = changes["ports"]
    environment: dict[str, str] = changes["environment"]

    class Postgres(PostgresServer):
        """Reached through a proxy."""

        @property
        def url(self) -> str:
            return at_port(super().url, ports["postgres"])

    class Redis(RedisServer):
        """Reached through a proxy."""

        @property
        def url(self) -> str:
            return at_port(super().url, ports["redis"])

    class Mosquitto(MosquittoServer):
        """Reached by the workers through a proxy."""

        def user_url(self, user: str) -> str:
            return at_port(super().user_url(user), ports["mosquitto"])

    def specify(*, env: dict[str, str], **others: Any) -> ProcessSpec:  # noqa: ANN401 - ProcessSpec's
        return ProcessSpec(env=env | environment, **others)

    with (
        patch.object(up, "PostgresServer", Postgres),
        patch.object(up, "RedisServer", Redis),
        patch.object(up, "MosquittoServer", Mosquitto),
        patch.object(up, "ProcessSpec", specify),
    ):
        return run(arguments[1:])


def at_port(url: str, port: int) -> str:
    """Return the URL with another port."""
    return re.sub(r":\d+(/|$)", rf":{port}\1", url)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
