"""Each function's role can do the function's work, and nothing else."""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.exc import ProgrammingError

from command_world import CHIRPSTACK, add_command, add_device, answer, command, handler_event
from plumbline import bootstrap
from plumbline.adapters.argon2 import Argon2Hasher
from plumbline.adapters.clock import SystemClock
from plumbline.adapters.postgres.accounts import PostgresAccounts
from plumbline.adapters.postgres.database import Database
from plumbline.adapters.postgres.device_events import PostgresDeviceEvents
from plumbline.adapters.postgres.devices import PostgresDeviceRegistry
from plumbline.adapters.postgres.lorawan_devices import PostgresLorawanDevices
from plumbline.adapters.postgres.migrate import migrate, schema_status
from plumbline.adapters.postgres.privileges import PRIVILEGES, grant_privileges
from plumbline.application.accounts import Accounts
from plumbline.application.issue_command import CommandRequest
from plumbline.application.retention import Retention
from plumbline.domain.account import Role, Scope
from plumbline.domain.audit import AuditEntry
from plumbline.domain.command import Verb
from plumbline.domain.command_event import CommandEventKind
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Status
from plumbline.errors import ConfigurationError, PlumblineError, StoreUnavailable
from plumbline.local.servers.postgres import ROLE, SUPERUSER, PostgresServer
from portal_process import PASSWORD, PortalProcess
from portal_world import add_device as add_portal_device
from portal_world import add_readings
from store_world import Batch, World, open_world, reading

ROOT = Path(__file__).parents[2]
# The queues are elsewhere, and do not answer: commands stay in the database.
SQS = {
    "MQTT_COMMAND_QUEUE_URL": "http://127.0.0.1:9/mqtt-command.fifo",
    "LORAWAN_COMMAND_QUEUE_URL": "http://127.0.0.1:9/lorawan-command.fifo",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}
DENIED = (PlumblineError, psycopg.errors.InsufficientPrivilege, ProgrammingError, AssertionError)


@pytest.fixture
def urls(postgres_server: PostgresServer, database_url: str) -> Iterator[dict[str, str]]:
    """Yield the URL by role of a database whose roles have their privileges; the owner's as ''."""
    name = urlsplit(database_url).path.lstrip("/")
    admin_url = postgres_server.database_url(name, SUPERUSER)
    place = urlsplit(database_url)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"ALTER ROLE {ROLE} CREATEROLE")
        grant_privileges(database_url)
        found = {"": database_url}
        for role in PRIVILEGES:
            password = secrets.token_hex(8)
            statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
            admin.execute(statement.format(sql.Identifier(role), sql.Literal(password)))
            netloc = f"{role}:{password}@{place.hostname}:{place.port}"
            found[role] = place._replace(netloc=netloc).geturl()
        yield found
        for role in PRIVILEGES:
            admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
        admin.execute(f"ALTER ROLE {ROLE} NOCREATEROLE")


# --- the work of each -----------------------------------------------------------------------

_days = iter(range(80))


def work_of_parsing(url: str, owner: World) -> None:
    with owner.database.connection() as connection:
        connection.execute("DELETE FROM devices WHERE device_id = 'wall'")
        add_device(connection, "wall", CHIRPSTACK)
    with closing(Database(url, StoreUnavailable)) as database:
        found = PostgresLorawanDevices(database).find([CHIRPSTACK.dev_eui])
    assert found[CHIRPSTACK.dev_eui].lorawan == CHIRPSTACK


def work_of_db1(url: str, owner: World) -> None:
    """Store new, equal, different and refused ones, of a day that has no partition."""
    at = datetime.now(UTC) - timedelta(days=next(_days) % 80, seconds=1)
    batch, frame = Batch(), uuid4()
    with open_world(url) as world:
        first = batch.deliver(reading("d1", at), reading("d1", at - timedelta(seconds=1)))
        outcome = world.persist(*first, *batch.refuse(), batch.receipt({"d1": 2, "dev-1": 1}))
        assert (outcome.stored, outcome.quarantined) == (2, 1)
        again = Batch().deliver(reading("d1", at - timedelta(seconds=1), tilt_angle_deg=9.0))
        again += Batch().deliver(reading("d1", at, rssi_dbm=-50.0, snr_db=9.0), frame=frame)
        outcome = world.persist(*again, *first)
        assert (outcome.duplicates, outcome.conflicts, outcome.repeated) == (1, 1, 2)
        said = DeviceEvent("d1", at, "start-up", Status.NORMAL, {"sensor": {}})
        assert world.persist(*Batch().deliver_events(said, frame=frame)).stored == 1
        assert world.persist(*Batch().deliver_events(said, frame=frame)).duplicates == 1
        take_in_what_is_heard_of_a_command(world, owner)


def take_in_what_is_heard_of_a_command(world: World, owner: World) -> None:
    with owner.database.connection() as connection:
        one = add_command(connection, command("d1"), attempts=1)
    batch = Batch()
    sent = handler_event(one, CommandEventKind.SENT)
    assert world.persist(sent, answer(batch, 0, one)).command_events == 2
    assert world.persist(answer(Batch(), 0, one)).duplicates == 1


def work_of_sync(url: str, _owner: World) -> None:
    with open_world(url) as world:
        list(world.statuses.device_statuses())
        world.statuses.fleet_statistics(datetime.now(UTC))


def work_of_maintenance(url: str, owner: World) -> None:
    """Make partitions, drop an old one, fold the ledger, forget."""
    old = datetime.now(UTC) - timedelta(days=100)
    owner.query("SELECT ensure_sensor_data_partition(%s)", old.date())
    batch = Batch()
    receipt = batch.receipt({"d9": 1, "dev-1": 1})
    owner.persist(*batch.deliver(reading("d9")), *batch.refuse(), receipt)
    owner.query("UPDATE ledger_entry SET recorded_at = recorded_at - interval '90 days'")
    owner.query("UPDATE quarantine SET created_at = created_at - interval '100 days'")
    with owner.database.connection() as connection:
        ended = add_command(connection, command())
    owner.query(
        "UPDATE commands SET state = 'failed', ended_at = now() - interval '100 days'"
        " WHERE command_id = %s",
        ended.command_id,
    )
    last_week = datetime.now(UTC) - timedelta(days=7)
    owner.query("SELECT ensure_sensor_data_partition(%s)", last_week.date())
    owner.query("DELETE FROM summarised_day")
    with open_world(url) as world:
        report = Retention(world.retention, SystemClock()).run()
    assert report["partitions"] == 1
    assert report["days_summarised"] >= 1
    assert report["batches_folded"] >= 1
    assert report["quarantined"] >= 1
    assert report["commands"] == 1


def work_of_operate(url: str, owner: World) -> None:
    """Do what the command line does."""
    name, eui = f"n{secrets.token_hex(4)}", secrets.token_hex(8)
    owner.persist(*(batch := Batch()).refuse(), batch.receipt({"dev-1": 1}))
    with closing(Database(url, StoreUnavailable)) as database, open_world(url) as world:
        registry = PostgresDeviceRegistry(database)
        assert registry.add({name: "hash"}, "") == []
        registry.add_or_rotate({name: "hash"})
        assert registry.rotate(name, "other")
        assert registry.set_disabled(name, disabled=True)
        assert registry.set_disabled(name, disabled=False)
        assert registry.get(name) is not None
        assert registry.all()
        registry.password_hashes()
        assert registry.add_lorawan({f"{name}-l": replace(CHIRPSTACK, dev_eui=eui)}, "") == []
        assert PostgresDeviceEvents(database).newest(name, 1) == []
        stored = PostgresAccounts(database, "cli:test")
        accounts = Accounts(stored, None, Argon2Hasher(), SystemClock())
        accounts.add(name, PASSWORD, Role.VIEWER)
        accounts.set_role(name, Role.OPERATOR)
        token = accounts.add_token(name, "", [Scope.READ], 3600)
        accounts.tokens()
        accounts.revoke_token(token.token.token_id)
        accounts.set_password(name, PASSWORD + "!")
        accounts.disable(name)
        accounts.enable(name)
        assert accounts.users()
        world.ledger.account()
        [entry] = world.quarantine.entries(limit=1)
        assert world.quarantine.message(entry.entry_id).raw == b"?"
        with world.quarantine.take_for_replay([entry.entry_id]) as taken:
            assert [found.raw for found in taken] == [b"?"]
        assert world.quarantine.purge([entry.entry_id]) == 1
    asyncio.run(issue_and_cancel(url, name))
    schema_status(url)


async def issue_and_cancel(url: str, device_id: str) -> None:
    def audited(action: str, target: str, detail: Mapping[str, Any]) -> AuditEntry:
        return AuditEntry("cli:test", "cli", action, target, detail)

    async with bootstrap.commands(url) as commands:
        request = CommandRequest(device_id, Verb.IDENTIFY, {})
        issued = await commands.issue(request, "cli:test", audited)
        assert await commands.newest(device_id)
        await commands.cancel(issued.command.command_id, audited)


WORK: dict[str, Callable[[str, World], None]] = {
    "plumbline_parsing": work_of_parsing,
    "plumbline_db1": work_of_db1,
    "plumbline_sync": work_of_sync,
    "plumbline_maintenance": work_of_maintenance,
    "plumbline_operate": work_of_operate,
}


@pytest.mark.parametrize("role", WORK)
def test_a_role_can_do_its_work_and_needs_every_privilege_it_has(
    role: str, urls: dict[str, str]
) -> None:
    """Without any one of them the work fails; so that the list holds nothing idle."""
    with open_world(urls[""]) as owner:
        work = WORK[role]
        work(urls[role], owner)
        idle = []
        for target, granted in PRIVILEGES[role].items():
            kind = "FUNCTION" if target.endswith(")") else "SEQUENCE" if "_seq" in target else ""
            for privilege in each(granted):
                change = f"{privilege} ON {kind} {target}"
                owner.query(f"REVOKE {change} FROM {role}")
                try:
                    work(urls[role], owner)
                except DENIED:
                    pass
                else:
                    idle.append(change)
                owner.query(f"GRANT {change} TO {role}")
        assert idle == []
        work(urls[role], owner)


def test_the_portals_role_can_do_all_that_the_portal_does(
    urls: dict[str, str], redis_url: str, tmp_path: Path
) -> None:
    owner = urls[""]
    now = datetime.now(UTC).replace(microsecond=0)
    add_portal_device(owner, "d1")
    add_readings(owner, "d1", [now - timedelta(minutes=5), now])
    with PortalProcess(owner, redis_url, tmp_path / "log") as owners:
        token = owners.api_token(Role.ADMIN, "read", "write")
        owners.signed_in(Role.OPERATOR)
    with PortalProcess(urls["plumbline_portal"], redis_url, tmp_path / "log", SQS) as portal:
        client = portal.client()
        assert client.sign_in("operator", "wrong password 1").status == 401
        assert client.sign_in("operator").status == 200
        first = (now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        span = f"from={first}&to={now.strftime('%Y-%m-%dT%H:%M:%SZ')}"
        for path in (
            "/health",
            "/api/v1/session",
            "/api/v1/devices",
            "/api/v1/devices/d1",
            "/api/v1/devices/d1/status",
            f"/api/v1/devices/d1/readings?{span}",
            f"/api/v1/devices/d1/series?{span}&points=10",
            f"/api/v1/devices/d1/readings.csv?{span}",
            f"/api/v1/devices/d1/readings.parquet?{span}",
            "/api/v1/devices/d1/commands",
            "/api/v1/stats",
        ):
            answer = client.get(path)
            assert answer.status == 200, (path, answer)
        sent = client.request(
            "POST",
            "/api/v1/devices/d1/commands",
            json_body={"command": "identify", "params": {}},
            headers={"Idempotency-Key": "k1"},
        )
        assert sent.status == 202, sent
        command = f"/api/v1/commands/{sent.json()['command_id']}"
        assert client.get(command).status == 200
        assert client.request("POST", f"{command}/cancel").status == 200
        bearer = portal.client(headers={"Authorization": f"Bearer {token}"})
        for path in ("/api/v1/quarantine", "/api/v1/ledger"):
            answer = bearer.get(path)
            assert answer.status == 200, (path, answer)
        assert client.sign_out().status in {200, 204}
        assert "permission denied" not in portal.log


def each(granted: str) -> list[str]:
    """Split into single privileges, one for each column where they are named."""
    found = []
    for privilege, columns in re.findall(r"([A-Z]+)(?: \(([^)]*)\))?", granted):
        names = columns.split(", ") if columns else []
        found += [f"{privilege} ({name})" for name in names] or [privilege]
    return found


# --- and nothing else -----------------------------------------------------------------------


def held(url: str, role: str) -> dict[str, set[str]]:
    """Return all that a role may do in the database, as PostgreSQL knows it."""
    found: dict[str, set[str]] = {}
    with psycopg.connect(url) as connection:
        for name, kind, partition in connection.execute(
            "SELECT relname, relkind::text, relispartition FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')"
        ):
            check = "has_sequence_privilege" if kind == "S" else "has_table_privilege"
            possible = (
                ["USAGE", "SELECT", "UPDATE"]
                if kind == "S"
                else ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
            )
            allowed = {
                privilege
                for privilege in possible
                for (yes,) in connection.execute(
                    f"SELECT {check}(%s, %s, %s)",
                    (role, f"public.{name}", privilege),
                )
                if yes
            }
            assert not (partition and allowed), f"{role} may reach around {name}"
            if kind != "S":
                allowed |= {
                    f"{privilege} ({column})"
                    for column, privilege in connection.execute(
                        "SELECT attname, privilege FROM pg_attribute,"
                        " unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS privilege"
                        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
                        " AND has_column_privilege(%s, attrelid, attnum, privilege)",
                        (f"public.{name}", role),
                    )
                    if privilege not in allowed
                }
            if allowed:
                found[name] = allowed
        for (function,) in connection.execute(
            "SELECT oid::regprocedure::text FROM pg_proc"
            " WHERE pronamespace = 'public'::regnamespace"
            " AND has_function_privilege(%s, oid, 'EXECUTE')",
            (role,),
        ):
            found[function] = {"EXECUTE"}
    return found


def listed(role: str) -> dict[str, set[str]]:
    return {target: set(each(granted)) for target, granted in PRIVILEGES[role].items()}


def test_a_role_has_its_list_and_nothing_more(urls: dict[str, str]) -> None:
    """Also after another grant, and after a revision has made another table."""
    with psycopg.connect(urls[""], autocommit=True) as owner:
        owner.execute("CREATE TABLE later (id int)")
        owner.execute("GRANT ALL ON users TO plumbline_sync")
    grant_privileges(urls[""])
    for role in PRIVILEGES:
        assert held(urls[""], role) == listed(role)
        with psycopg.connect(urls[role], autocommit=True) as connection:
            for statement in (
                "CREATE TABLE mine (id int)",
                "CREATE TEMP TABLE mine (id int)",
                "ALTER TABLE sensor_data ADD COLUMN mine int",
                "DROP TABLE users",
                "CREATE ROLE mine",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)


def test_p4_2_only_who_writes_readings_can_and_nobody_reads_anothers_secrets(
    urls: dict[str, str],
) -> None:
    writers = {role for role in PRIVILEGES if "INSERT" in listed(role).get("sensor_data", set())}
    assert writers == {"plumbline_db1"}
    for role in ("plumbline_parsing", "plumbline_db1", "plumbline_sync", "plumbline_maintenance"):
        with psycopg.connect(urls[role], autocommit=True) as connection:
            for table in ("users", "sessions", "api_tokens", "known_browsers", "audit_log"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(table)))
    for role in set(PRIVILEGES) - {"plumbline_operate"}:
        with psycopg.connect(urls[role], autocommit=True) as connection:
            for statement in (
                "SELECT password_hash FROM devices",
                "UPDATE sensor_data SET tilt_angle = 0",
                'UPDATE sensor_data SET "timestamp" = now()',
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)


def test_somebody_else_cannot_even_connect(
    urls: dict[str, str], postgres_server: PostgresServer
) -> None:
    place = urlsplit(urls[""])
    admin_url = postgres_server.database_url("postgres", SUPERUSER)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE stranger LOGIN PASSWORD 'x'")
        try:
            stranger = place._replace(netloc=f"stranger:x@{place.hostname}:{place.port}").geturl()
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(stranger)
        finally:
            admin.execute("DROP ROLE stranger")


def test_where_rds_has_its_group_the_roles_are_members(
    urls: dict[str, str], postgres_server: PostgresServer
) -> None:
    admin_url = postgres_server.database_url("postgres", SUPERUSER)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE rds_iam")
        try:
            admin.execute(f"GRANT rds_iam TO {ROLE} WITH ADMIN OPTION")
            grant_privileges(urls[""])
            found = admin.execute(
                "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member"
                " WHERE m.roleid = 'rds_iam'::regrole AND r.rolname = ANY (%s)",
                (list(PRIVILEGES),),
            ).fetchone()
            assert found == (len(PRIVILEGES),)
        finally:
            admin.execute("DROP ROLE rds_iam")


def test_who_does_not_own_the_database_cannot_grant(urls: dict[str, str]) -> None:
    migrate(urls[""])
    with pytest.raises(ConfigurationError, match="the owner of the database is needed"):
        grant_privileges(urls["plumbline_operate"])


def test_the_page_lists_every_privilege() -> None:
    page = (ROOT / "docs" / "reference" / "database.md").read_text("utf-8")
    rows = re.findall(r"^\| `(plumbline_\w+)` \| `([^`]+)` \| (.+) \|$", page, re.MULTILINE)
    expected = [
        (role, target, granted)
        for role, privileges in PRIVILEGES.items()
        for target, granted in privileges.items()
    ]
    assert rows == expected
