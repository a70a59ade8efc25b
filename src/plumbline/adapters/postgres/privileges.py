"""The database role of each function, and what it may do: this and nothing else."""

from collections.abc import Mapping

import psycopg
from psycopg import errors as pg
from psycopg import sql

from plumbline.adapters.postgres.access import connection_url
from plumbline.errors import ConfigurationError, StoreUnavailable

_ENSURE = "ensure_sensor_data_partition(date)"
_DROP = "drop_sensor_data_partition(date)"
_SUMMARISE = "summarise_sensor_data_day(date,integer)"

_DEVICE_SENDER = "device_id, dev_eui, application, tenant, network_device_id"
_DEVICE_ROUTE = (
    f"{_DEVICE_SENDER}, network_server, sensor_model, uplink_interval_s, device_class, disabled_at"
)
_DEVICE_WITHOUT_PASSWORD = f"{_DEVICE_ROUTE}, name, protocol, created_at, rotated_at"

# By role: privileges by table, view, sequence or function. Where columns follow a privilege, it is
# for these alone: of the devices' password hashes only `operate` knows, and of a stored reading
# only how well it was received can change. What speaks with the broker's command topics alone has
# no role.
PRIVILEGES: Mapping[str, Mapping[str, str]] = {
    "plumbline_parsing": {
        "devices": f"SELECT ({_DEVICE_ROUTE})",
    },
    "plumbline_db1": {
        "sensor_data": "SELECT, INSERT, UPDATE (rssi, snr)",
        "sensor_data_id_seq": "USAGE",
        _ENSURE: "EXECUTE",
        "device_status": "SELECT, INSERT, UPDATE",
        "device_event": "SELECT, INSERT",
        "reading_duplicate": "SELECT, INSERT",
        "reading_conflict": "SELECT, INSERT",
        "quarantine": "SELECT, INSERT",
        "quarantine_part": "SELECT, INSERT",
        "accounted_delivery": "SELECT",
        "settled_delivery": "INSERT",
        "devices": f"SELECT ({_DEVICE_SENDER})",
        "commands": "SELECT, UPDATE",
        "command_event": "SELECT, INSERT",
        "ledger_entry": "SELECT, INSERT",
        "ledger_folded": "SELECT",
    },
    "plumbline_sync": {
        "sensor_data": "SELECT",
        "device_status": "SELECT",
    },
    "plumbline_maintenance": {
        _ENSURE: "EXECUTE",
        _DROP: "EXECUTE",
        _SUMMARISE: "EXECUTE",
        "reading_summary": "SELECT",
        "summarised_day": "SELECT",
        "device_event": "SELECT, DELETE",
        "reading_duplicate": "SELECT, DELETE",
        "reading_conflict": "SELECT, DELETE",
        "quarantine": "SELECT, DELETE",
        "quarantine_part": "SELECT, DELETE",
        "settled_delivery": "SELECT, DELETE",
        "commands": "SELECT, DELETE",
        "ledger_entry": "SELECT, DELETE",
        "ledger_total": "SELECT, INSERT, UPDATE",
        "ledger_summary": "SELECT, UPDATE",
        "ledger_folded": "SELECT, INSERT, DELETE",
    },
    "plumbline_operate": {
        "devices": "SELECT, INSERT, UPDATE",
        "device_status": "SELECT",
        "device_event": "SELECT",
        "commands": "SELECT, INSERT, UPDATE",
        "users": "SELECT, INSERT, UPDATE",
        "sessions": "SELECT, DELETE",
        "known_browsers": "SELECT, DELETE",
        "api_tokens": "SELECT, INSERT, UPDATE",
        "audit_log": "INSERT",
        "ledger_entry": "SELECT",
        "ledger_folded": "SELECT",
        "ledger_total": "SELECT",
        "ledger_summary": "SELECT",
        "queue": "SELECT",
        "queue_content": "SELECT",
        "queue_lease": "SELECT",
        "queue_message": "SELECT, DELETE",
        "quarantine": "SELECT, UPDATE, DELETE",
        "quarantine_part": "SELECT, DELETE",
        "settled_delivery": "INSERT",
        "alembic_version": "SELECT",
    },
    "plumbline_portal": {
        "devices": f"SELECT ({_DEVICE_WITHOUT_PASSWORD})",
        "device_status": "SELECT",
        "sensor_data": "SELECT",
        "reading_summary": "SELECT",
        "users": "SELECT",
        "sessions": "SELECT, INSERT, UPDATE, DELETE",
        "known_browsers": "SELECT, INSERT, UPDATE, DELETE",
        "sign_in_failures": "SELECT, INSERT, UPDATE, DELETE",
        "api_tokens": "SELECT, UPDATE",
        "audit_log": "INSERT",
        "commands": "SELECT, INSERT, UPDATE",
        "quarantine": "SELECT",
        "quarantine_part": "SELECT",
        "ledger_entry": "SELECT",
        "ledger_folded": "SELECT",
        "ledger_total": "SELECT",
        "ledger_summary": "SELECT",
        "queue": "SELECT",
        "queue_content": "SELECT",
        "queue_lease": "SELECT",
        "queue_message": "SELECT, DELETE",
    },
}

_RDS_IAM = "rds_iam"


def grant_privileges(database_url: str) -> list[str]:
    """Make the roles where they are missing, and give each what it needs; return their names.

    Safe to repeat. On Aurora they sign in with a token; elsewhere they have no password until
    somebody gives them one. Everybody else loses what PostgreSQL gives everybody.

    Raises:
        StoreUnavailable: The database cannot be reached.
        ConfigurationError: The user of the URL does not own the tables, or may not make roles.
    """
    try:
        with psycopg.connect(connection_url(database_url), connect_timeout=5) as connection:
            _close_to_everybody(connection)
            iam = _exists(connection, _RDS_IAM)
            for role, privileges in PRIVILEGES.items():
                _make(connection, role, iam=iam)
                _give(connection, role, privileges)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(str(error).partition("\n")[0]) from error
    except pg.InsufficientPrivilege as error:
        msg = (
            f"the owner of the database is needed, who may make roles: {error.diag.message_primary}"
        )
        raise ConfigurationError(msg) from error
    return list(PRIVILEGES)


def _close_to_everybody(connection: psycopg.Connection) -> None:
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    connection.execute("REVOKE ALL ON ALL ROUTINES IN SCHEMA public FROM PUBLIC")


def _make(connection: psycopg.Connection, role: str, *, iam: bool) -> None:
    name = sql.Identifier(role)
    if not _exists(connection, role):
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    if iam:
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(_RDS_IAM), name))
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, name))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))


def _give(connection: psycopg.Connection, role: str, privileges: Mapping[str, str]) -> None:
    """Take everything away, then give what is listed: what was taken off the list goes, too."""
    name = sql.Identifier(role)
    for kind in ("TABLES", "SEQUENCES", "ROUTINES"):
        statement = sql.SQL("REVOKE ALL ON ALL {} IN SCHEMA public FROM {}")
        connection.execute(statement.format(sql.SQL(kind), name))
    for target, granted in privileges.items():
        kind = "FUNCTION" if target.endswith(")") else "SEQUENCE" if granted == "USAGE" else "TABLE"
        statement = sql.SQL("GRANT {} ON {} {} TO {}")
        connection.execute(statement.format(sql.SQL(granted), sql.SQL(kind), sql.SQL(target), name))


def _exists(connection: psycopg.Connection, role: str) -> bool:
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,))
    return found.rowcount > 0
