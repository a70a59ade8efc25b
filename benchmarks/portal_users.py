"""What one user of the portal does, for Locust: sign in, then look around and now and then act.

Weights are those of somebody who watches a site: mostly the status of devices, then the fleet and
the course of a device; a command is rare, a new sign-in (in another browser, say) rarer: one of 45
requests, which is still each user every two minutes. Between two requests they look at the answer
for one to five seconds.
"""

import itertools
import os
import random
from datetime import UTC, datetime, timedelta

from locust import FastHttpUser, between, task

_DEVICES = 100
_NUMBERS = itertools.count(1)


class PortalUser(FastHttpUser):
    """Signs in, as a browser does, with cookies and a CSRF token."""

    wait_time = between(1, 5)

    def on_start(self) -> None:
        """Sign in."""
        self._username = f"user-{next(_NUMBERS)}"
        self._csrf_token = ""
        self.sign_in()

    @task(1)
    def sign_in(self) -> None:
        """Sign in, or again, which ends the session before."""
        credentials = {"username": self._username, "password": os.environ["PORTAL_BENCH_PASSWORD"]}
        with self.client.post(
            "/api/v1/session",
            json=credentials,
            headers={"Origin": self.host or ""},
            name="sign-in",
            catch_response=True,
        ) as answer:
            if answer.status_code == 200:
                self._csrf_token = answer.json()["csrf_token"]
            else:
                answer.failure(f"status {answer.status_code}")

    @task(8)
    def fleet(self) -> None:
        """Look at the fleet."""
        self.client.get("/api/v1/devices?limit=100", name="fleet")

    @task(6)
    def device(self) -> None:
        """Look at what is known of a device."""
        self.client.get(f"/api/v1/devices/{_device()}", name="device")

    @task(20)
    def status(self) -> None:
        """Look at a device's status."""
        self.client.get(f"/api/v1/devices/{_device()}/status", name="status")

    @task(8)
    def series(self) -> None:
        """Look at a device's last week."""
        first = datetime.now(UTC) - timedelta(days=7)
        path = f"/api/v1/devices/{_device()}/series?from={first:%Y-%m-%dT%H:%M:%SZ}"
        self.client.get(path, name="series")

    @task(2)
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
