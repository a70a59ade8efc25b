"""The portal as an operator's program asks it."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

UNANSWERED = (OSError, http.client.HTTPException, ValueError)
"""What a request ends with while the portal is away, or dies over it."""

_TIMEOUT_S = 30.0  # the portal gives up on a database that says nothing after 22 s


@dataclass(frozen=True, slots=True)
class Portal:
    """The portal and who asks.

    Attributes:
        url: Its.
        token: An operator's.
    """

    url: str
    token: str

    def request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Ask, on a new connection; return status and JSON."""
        connection = http.client.HTTPConnection(str(urlsplit(self.url).netloc), timeout=_TIMEOUT_S)
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
                | (headers or {}),
            )
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")
        finally:
            connection.close()
