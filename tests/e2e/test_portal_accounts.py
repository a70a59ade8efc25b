"""Users and API tokens of the whole system, from the command line to an answer."""

import subprocess

import psycopg
import pytest

from e2e.conftest import PLUMBLINE, System
from portal_process import PASSWORD, Client


@pytest.mark.parametrize("system", [["--demo"]], indirect=True)
def test_a_demo_has_an_admin_who_can_sign_in(system: System) -> None:
    endpoints = system.endpoints
    client = Client(endpoints.portal_url)
    assert endpoints.portal_username is not None
    assert endpoints.portal_password is not None
    assert client.sign_in(endpoints.portal_username, endpoints.portal_password).status == 200
    assert client.get("/api/v1/session").json()["role"] == "admin"
    assert client.get("/api/v1/devices").status == 200
    log = "".join(path.read_text() for path in (system.data_dir / "logs").glob("*.log"))
    assert endpoints.portal_password not in log


def test_an_operator_lets_a_user_and_a_program_in_and_out(system: System) -> None:
    assert system.endpoints.portal_username is None  # nobody is let in by default
    assert system.json("user", "list") == []
    add = ["user", "add", "anna", "--role", "operator", "--password-stdin"]
    argv = [*PLUMBLINE, "--data-dir", str(system.data_dir), *add]
    subprocess.run(argv, input=PASSWORD, text=True, check=True, timeout=60)
    client = Client(system.endpoints.portal_url)
    assert client.sign_in("anna").status == 200
    secret = system.json("token", "add", "anna", "--scope", "read")["token"]
    program = Client(system.endpoints.portal_url, headers={"Authorization": f"Bearer {secret}"})
    assert [one.get("/api/v1/devices").status for one in (client, program)] == [200, 200]
    assert system.run("user", "disable", "anna").returncode == 0
    assert [one.get("/api/v1/devices").status for one in (client, program)] == [401, 401]
    with psycopg.connect(system.endpoints.database_url) as connection:
        actions = connection.execute("SELECT action FROM audit_log ORDER BY id").fetchall()
    assert [row[0] for row in actions] == [
        "user.add",
        "session.start",
        "token.add",
        "user.disable",
    ]
