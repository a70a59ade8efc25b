"""What one user of the portal does, for Locust: sign in, then look around and now and then act."""

import os
import random
from datetime import UTC, datetime, timedelta

from locust import FastHttpUser, between, task

_DEVICES = 100


class PortalUser(FastHttpUser):
    """Signs in once, as a browser does, and waits one to three seconds between requests."""

    wait_time = between(1, 3)

    def on_start(self) -> None:
        """Sign in."""
        answer = self.client.post(
            "/api/v1/session",
            json={"username": "bench", "password": os.environ["PORTAL_BENCH_PASSWORD"]},
            headers={"Origin": self.host or ""},
        )
        self._csrf_token = answer.json()["csrf_token"]

    @task(4)
    def fleet(self) -> None:
        """Look at the fleet."""
        self.client.get("/api/v1/devices?limit=100", name="fleet")

    @task(10)
    def status(self) -> None:
        """Look at one device."""
        self.client.get(f"/api/v1/devices/{_device()}/status", name="status")

    @task(4)
    def series(self) -> None:
        """Look at a device's last week."""
        first = datetime.now(UTC) - timedelta(days=7)
        self.client.get(
            f"/api/v1/devices/{_device()}/series?from={first:%Y-%m-%dT%H:%M:%SZ}", name="series"
        )

    @task(1)
    def command(self) -> None:
        """Send a command."""
        self.client.post(
            f"/api/v1/devices/{_device()}/commands",
            json={"command": "request_reading"},
            headers={"X-CSRF-Token": self._csrf_token, "Origin": self.host or ""},
            name="command",
        )


def _device() -> str:
    return f"dev-{random.randint(1, _DEVICES)}"
